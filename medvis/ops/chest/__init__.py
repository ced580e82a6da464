"""Measurements that know the chest on CT: lungs, what surrounds a place, Hounsfield units of grey pictures."""
