"""Does an NRRD or MetaImage file say how the patient lies, on a grid of right angles?

ITK takes a file that does not say it as lying in LPS, in silence; an output would then state what the input did not.
It squares a sheared grid in silence, too.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from .text_headers import read_metaimage_header, read_nrrd_header

_SQUARE = 1e-3  # largest cosine between two axes
_PATIENT_SPACES = ("left", "right", "lps", "ras", "las")
_MATRIX = ("transformmatrix", "orientation", "rotation")


def check_nrrd_orientation(path: Path) -> None:
    """Raises InputError where an NRRD file does not state it, or its grid is sheared."""
    fields = read_nrrd_header(path).fields
    space, directions = fields.get("space", "").lower(), fields.get("spacedirections", "")
    if not directions or not space.startswith(_PATIENT_SPACES):
        raise InputError(_unstated(path, "no 'space' of a patient, such as left-posterior-superior"))
    vectors = [[float(number) for number in part.split(",")] for part in re.findall(r"\(([^)]*)\)", directions)]
    check_square(path, np.array(vectors, float))


def check_metaimage_orientation(path: Path) -> None:
    """Raises InputError where a MetaImage file does not state it, or its grid is sheared."""
    fields = read_metaimage_header(path).fields
    named = next((fields[name] for name in _MATRIX if name in fields), None)
    if named is None:
        raise InputError(_unstated(path, "no TransformMatrix"))
    numbers = np.array(named.split(), float)
    side = round(len(numbers) ** 0.5)
    check_square(path, numbers.reshape(side, -1))


def check_square(path: Path, axes: np.ndarray) -> None:
    """Raises InputError unless the axes, (n, m) with a direction a row, are at right angles."""
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not np.isfinite(axes).all() or not lengths.all():
        raise InputError(f"{path} has an axis without a direction. Correct its header, or export the volume anew.")
    cosines = axes / lengths @ (axes / lengths).T - np.eye(len(axes))
    if np.abs(cosines).max() > _SQUARE:
        raise InputError(
            f"{path} has a sheared or non-perpendicular grid. Resample it in Slicer, and give that volume."
        )


def _unstated(path: Path, lacks: str) -> str:
    return (
        f"{path} does not say how the patient lies ({lacks}), and left could be taken for right. Export the volume "
        "anew from its DICOM, or open it in Slicer, make sure of its orientation and save it as .nrrd."
    )
