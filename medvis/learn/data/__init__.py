"""Labelled pictures: the layouts they come in, and how they are read."""
