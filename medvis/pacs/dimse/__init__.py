"""DIMSE (PS3.7): associations, a C-STORE SCP, C-GET and C-MOVE."""
