"""What the module reads from the MRML scene and Slicer's DICOM database, and what it puts there."""
