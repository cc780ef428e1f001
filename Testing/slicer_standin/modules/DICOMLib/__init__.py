"""Slicer's DICOM library: what our modules use of it."""
