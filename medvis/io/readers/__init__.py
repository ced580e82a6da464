"""One file a kind of input."""
