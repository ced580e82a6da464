"""How `infer` looks at an image: whole, in tiles, and closer at each candidate."""
