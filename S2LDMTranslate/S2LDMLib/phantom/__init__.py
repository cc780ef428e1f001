"""Procedural abdominal CT phantom: registered NCCT, arterial and venous volumes from a seed. Imports no other wing."""
