"""Runtimes behind one protocol: numpy in, numpy out."""
