"""One file a stage: Case → Case."""
