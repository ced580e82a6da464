"""The networks. torch lives here."""
