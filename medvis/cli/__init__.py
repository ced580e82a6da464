"""The command line: the only place that knows typer, rich, stdout and exit codes."""
