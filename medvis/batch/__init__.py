"""The one way from inputs to published results: select, run, publish."""
