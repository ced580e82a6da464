"""Pure array mathematics: arrays and numbers in, arrays out. Never sees a data set, settings or a path."""
