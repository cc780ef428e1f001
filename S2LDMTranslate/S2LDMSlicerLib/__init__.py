"""What both modules of the extension need in Slicer: Python packages, Slicer's Python, processes, the panel's error.

Imports neither module nor either library.
"""
