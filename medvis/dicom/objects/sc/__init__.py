"""Secondary Capture (PS3.3 A.8)."""
