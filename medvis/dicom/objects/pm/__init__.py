"""Parametric Map (PS3.3 A.75)."""
