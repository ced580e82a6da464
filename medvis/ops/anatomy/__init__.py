"""The anatomy of the CT phantom: shapes with soft edges, a chest drawn from them, and its vessels."""
