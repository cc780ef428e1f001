"""What the module reads from the MRML scene and Slicer's DICOM database, and what it puts there.

May import ``jobs``, whose volumes it makes and takes in; nothing else of this panel.
"""
