"""What the model sees of a scan: the same functions for training and for use."""
