"""Training, evaluation and export. Needs the extra `train`."""
