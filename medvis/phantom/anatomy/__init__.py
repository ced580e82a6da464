"""The anatomy of the CT phantom."""
