"""DICOM in (``reading``) and out (``writing``): a CT series as a volume in HU, and a synthetic series that says so."""
