"""A volume and its parts: grid, box, body; and the single files that it is read from and written to.

Imports no other wing.
"""
