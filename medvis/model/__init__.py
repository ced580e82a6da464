"""A model as it ships: its card with the input contract, its bundle, and what runs it."""
