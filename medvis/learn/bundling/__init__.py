"""Trained weights → a bundle: the graph, its precision, what is fitted on val, and the card."""
