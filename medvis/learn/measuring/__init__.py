"""Measuring the shipped pipeline on labelled pictures."""
