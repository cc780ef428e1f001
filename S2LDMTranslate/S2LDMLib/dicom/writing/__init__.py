"""A synthetic volume as a DICOM series of its source's study.

May import ``reading``, for the source, and ``volume``.
"""
