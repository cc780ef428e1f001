"""One slice of a CT: what its header says, wherever the file keeps it; classic files and enhanced multi-frame ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import Dataset

from ...errors import InputError
from .headers import Header, damaged, number, numbers, quiet_pydicom, text
from .usable import is_hu

_LARGEST_SLOPE, _LARGEST_INTERCEPT = 1e3, 1e6  # so that 16 bits give numbers of 32 bits
_EXPORT = "Export the series anew from its archive."


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """One slice of a series; lengths in mm, patient coordinates LPS.

    Attributes:
        path: its file.
        frame: number of the frame in a multi-frame file, from 0; None in a classic file.
        header: the file's elements without the pixels; a multi-frame file's frames share it.
        position: (3,) centre of the first voxel.
        direction: (6,) unit vectors along a row and along a column.
        spacing: between columns, between rows.
        size: columns, rows.
        slope, intercept: HU = slope * stored value + intercept.
    """

    path: Path
    frame: int | None
    header: Dataset = field(repr=False)
    position: np.ndarray
    direction: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    slope: float
    intercept: float

    @property
    def sop_instance_uid(self) -> str:
        """The UID of the file's object; frames of one file share it."""
        return text(self.header, "SOPInstanceUID")

    @property
    def frame_of_reference(self) -> str:
        """The UID of the frame of reference, empty where there is none."""
        return text(self.header, "FrameOfReferenceUID")

    @property
    def in_whole_hu(self) -> bool:
        """Whether every stored value gives a whole number of HU."""
        return self.slope.is_integer() and self.intercept.is_integer()

    @property
    def name(self) -> str:
        """What to call the slice in a message."""
        return self.path.name if self.frame is None else f"{self.path.name} frame {self.frame + 1}"

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector along which slices are stacked: row x column."""
        return np.cross(self.direction[:3], self.direction[3:])


def slices_of(header: Header) -> list[DicomSlice]:
    """The slices that a CT file holds: one, or its frames.

    Raises:
        InputError: no or cut-off pixel data, colour, no HU, no geometry.
    """
    _check_pixels(header)
    dataset = header.dataset
    if "PerFrameFunctionalGroupsSequence" in dataset:
        frames = _frame_groups(header)
        _check_one_stack(header, frames)
        return [_slice(header, index, groups) for index, groups in enumerate(frames)]
    count = number(dataset, "NumberOfFrames") or 1
    if count > 1:
        raise InputError(f"{header.path} holds {count:g} frames without a position for each. {_EXPORT}")
    return [_slice(header, None, [dataset])]


def _check_pixels(header: Header) -> None:
    path = header.path
    if not header.complete:
        raise InputError(f"{path} is truncated: pixel data are missing. Copy or export the file anew.")
    samples = number(header.dataset, "SamplesPerPixel") or 1
    if samples != 1 or not header.text("PhotometricInterpretation").upper().startswith("MONOCHROME"):
        kind = header.text("PhotometricInterpretation") or "it does not tell its colours"
        raise InputError(f"{path} is a colour image ({kind}), not a CT slice. Give a CT series.")


def _frame_groups(header: Header) -> list[list[Dataset]]:
    """For each frame the data sets that may hold its functional groups, the frame's own first."""
    dataset = header.dataset
    try:
        with quiet_pydicom():
            shared = [part for item in dataset.get("SharedFunctionalGroupsSequence") or () for part in _parts(item)]
            return [[*_parts(item), *shared, dataset] for item in dataset.PerFrameFunctionalGroupsSequence]
    except Exception as error:  # pydicom raises anything on damaged sequences
        raise damaged(header.path) from error


def _check_one_stack(header: Header, frames: Sequence[Sequence[Dataset]]) -> None:
    told = number(header.dataset, "NumberOfFrames") or 0
    if told != len(frames):
        raise InputError(f"{header.path} holds {told:g} frames and describes {len(frames)}. {_EXPORT}")
    for keyword, what in (("StackID", "stacks"), ("TemporalPositionIndex", "points in time")):
        values = {_first_text(parts, keyword) for parts in frames}
        if len(values) > 1:
            raise InputError(
                f"{header.path} holds {len(values)} {what}, such as several phases. Export each as a series of its own."
            )


def _parts(item: Dataset) -> list[Dataset]:
    """The macros of a functional group, each the only item of its sequence."""
    return [element.value[0] for element in item if element.VR == "SQ" and element.value]


def _slice(header: Header, frame: int | None, groups: Sequence[Dataset]) -> DicomSlice:
    path = header.path if frame is None else f"{header.path} frame {frame + 1}"
    columns, rows = (int(number(header.dataset, keyword) or 0) for keyword in ("Columns", "Rows"))
    position = _first_numbers(groups, "ImagePositionPatient", 3)
    direction = _first_numbers(groups, "ImageOrientationPatient", 6)
    spacing = _first_numbers(groups, "PixelSpacing", 2)
    intercept = _first_numbers(groups, "RescaleIntercept", 1)
    slope = _first_numbers(groups, "RescaleSlope", 1)
    kind = _first_text(groups, "RescaleType")
    if intercept is None or slope is None or slope[0] == 0:
        raise InputError(f"{path} has no rescale tags, so it is not in HU. {_EXPORT}")
    if not is_hu(kind):
        raise InputError(f"{path} is in {kind} and not in HU. Give the series in HU (not an iodine or density map).")
    if abs(slope[0]) > _LARGEST_SLOPE or abs(intercept[0]) > _LARGEST_INTERCEPT:
        raise InputError(f"{path} has a rescale that gives no HU ({slope[0]:g} x + {intercept[0]:g}). {_EXPORT}")
    direction = None if direction is None else _orthonormal(direction)
    if position is None or direction is None:
        raise InputError(f"{path} does not tell its position or orientation. {_EXPORT}")
    if spacing is None or (spacing <= 0).any() or min(columns, rows) < 1:
        raise InputError(f"{path} does not tell its matrix or pixel spacing. {_EXPORT}")
    return DicomSlice(
        path=header.path,
        frame=frame,
        header=header.dataset,
        position=position,
        direction=direction,
        spacing=(float(spacing[1]), float(spacing[0])),  # DICOM gives the distance between rows first
        size=(columns, rows),
        slope=float(slope[0]),
        intercept=float(intercept[0]),
    )


def _first_numbers(groups: Sequence[Dataset], keyword: str, count: int) -> np.ndarray | None:
    found = (numbers(group, keyword, count) for group in groups if keyword in group)
    return next((values for values in found if values is not None), None)


def _first_text(groups: Sequence[Dataset], keyword: str) -> str:
    return next((text(group, keyword) for group in groups if keyword in group), "")


def _orthonormal(direction: np.ndarray) -> np.ndarray | None:
    """The cosines (6,) without their rounding; None where they are more than rounded."""
    row, column = direction[:3], direction[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1, atol=1e-2) or abs(row @ column) > 1e-2:
        return None
    row = row / lengths[0]
    column = column - (row @ column) * row
    return np.concatenate([row, column / np.linalg.norm(column)])
