"""Phantoms of known truth, and the sample data."""
