"""From scans to prepared data: find, check, register, store and split the cases."""
