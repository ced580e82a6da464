"""`medvis listen`: what it receives, its folder and its queue."""
