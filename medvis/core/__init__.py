"""Frozen types and protocols that every other package speaks. Imports numpy and pydantic, nothing else."""
