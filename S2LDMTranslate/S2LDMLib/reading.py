"""The volume to translate, from wherever it lies: a single file or a DICOM series."""

from __future__ import annotations

import warnings
from pathlib import Path

import SimpleITK as sitk

from .dicom.reading.files import is_dicom, is_directory_file, unreadable
from .dicom.reading.series import find_series
from .errors import InputError, S2LDMWarning
from .volume.files import INPUT_SUFFIXES, read_file, suffix_of


def read_volume(path: str | Path, series_uid: str | None = None) -> sitk.Image:
    """Reads a CT volume. What had to be mended in a DICOM series is told as an ``S2LDMWarning``.

    Args:
        path: a file of ``INPUT_SUFFIXES``, a folder of DICOM files, a DICOMDIR or a multi-frame DICOM file.
        series_uid: the DICOM series to take where there are several CT series.

    Returns:
        3D scalar image with the file's own geometry and voxel type; DICOM is given in HU. Whether a file's values
        are HU is for :func:`S2LDMLib.guard.input_checks.check_input` to judge.

    Raises:
        InputError: missing, damaged, truncated, not 3D, more than one value a voxel, or DICOM that is not one
            complete CT series.
    """
    path = Path(path)
    if is_dicom_source(path):
        series = find_series(path, series_uid)
        for warning in series.warnings:
            warnings.warn(warning, S2LDMWarning, stacklevel=2)
        return series.read()
    if series_uid is not None:
        raise InputError(f"--series needs DICOM, and {path} is not. Leave it out or give the DICOM folder.")
    return read_file(path)


def is_dicom_source(path: Path) -> bool:
    """Whether ``path`` is a folder, a DICOMDIR or a DICOM file; raises InputError where nothing can be read there."""
    try:
        if path.is_dir():
            return True
        if not path.is_file():
            raise InputError(f"{path} does not exist. Check the path.")
    except OSError as error:
        raise unreadable(path, error) from error
    return suffix_of(path, INPUT_SUFFIXES) is None and (is_directory_file(path) or is_dicom(path))
