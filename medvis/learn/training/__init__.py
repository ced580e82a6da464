"""Training a network from labelled pictures."""
