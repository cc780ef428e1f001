"""The volume to translate, from wherever it lies: a single file or a DICOM series.

pydicom takes a tenth of a second to import, and a file needs none of it: what reads DICOM is imported where it is used.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from .errors import InputError, S2LDMWarning
from .volume.files import INPUT_SUFFIXES, read_file, suffix_of

if TYPE_CHECKING:
    from .dicom.reading.series import DicomSeries


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
        from .dicom.reading.series import find_series

        series = find_series(path, series_uid)
        for warning in series.warnings:
            warnings.warn(warning, S2LDMWarning, stacklevel=2)
        return series.read()
    if series_uid is not None:
        raise InputError(f"--series needs DICOM, and {path} is not. Leave it out or give the DICOM folder.")
    return read_file(path)


def read_ncct(path: str | Path, series_uid: str | None = None) -> sitk.Image:
    """Read a volume that is to be translated: as :func:`read_volume`, and what its headers say of contrast is told."""
    path = Path(path)
    if not is_dicom_source(path):
        return read_volume(path, series_uid)
    from .dicom.reading.series import find_series

    series = find_series(path, series_uid)
    warn_of(series)
    return series.read()


def warn_of(series: DicomSeries) -> None:
    """Tell what had to be mended in a series, and that its headers speak of contrast, as ``S2LDMWarning``."""
    for warning in series.warnings:
        warnings.warn(warning, S2LDMWarning, stacklevel=3)
    if series.phase_hint not in ("", "without contrast"):
        warnings.warn(
            f"The headers of the series speak of contrast ({series.phase_hint}): a result would be enhanced twice. "
            "Make sure that it is the non-contrast phase.", S2LDMWarning, stacklevel=3,
        )  # fmt: skip


def is_dicom_source(path: Path) -> bool:
    """Whether ``path`` is a folder, a DICOMDIR or a DICOM file; raises InputError where nothing can be read there."""
    try:
        if path.is_dir():
            return True
        if not path.is_file():
            raise InputError(f"{path} does not exist. Check the path.")
    except OSError as error:
        from .dicom.reading.files import unreadable

        raise unreadable(path, error) from error
    if suffix_of(path, INPUT_SUFFIXES) is not None:
        return False
    from .dicom.reading.files import is_dicom, is_directory_file

    return is_directory_file(path) or is_dicom(path)
