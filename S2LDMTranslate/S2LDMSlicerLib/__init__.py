"""What both modules of the extension need in Slicer: packages, Slicer's Python, processes. Imports neither module."""
