"""Structured Report, TID 1500 (PS3.16)."""
