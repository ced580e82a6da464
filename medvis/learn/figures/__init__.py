"""The figures of merit, their curves and their plots: numbers in, numbers and pictures out."""
