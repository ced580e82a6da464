"""Measurements that know the chest on CT: lungs, what surrounds a component, Hounsfield units of grey pictures."""
