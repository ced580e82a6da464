"""Segmentation (PS3.3 A.51)."""
