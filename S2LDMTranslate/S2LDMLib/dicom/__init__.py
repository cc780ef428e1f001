"""DICOM in and out: a CT series of any folder as a volume in HU, and a synthetic series no one can mistake."""
