"""Does a CT volume already hold intravenous contrast? A translation would then enhance it a second time.

The sign looked for is an enhanced aorta (or inferior vena cava): a bright, homogeneous, roundish disc deep in the
body, darker tissue around it, that continues over many slices. Each condition keeps one look-alike out:
homogeneous (bone), dark surround (marrow within its cortex), round and of vessel size (stomach, heart, liver),
deep (colon), long (duodenum, disc, kidney, calcification, Lipiodol).

Measured on 23 real volumes of 8 patients: all 18 enhanced ones found, arterial and venous, and no alarm on the 5
non-contrast ones, oral contrast and Lipiodol among them (``Testing/test_input_checks.py``). The limits below were
chosen on the same volumes, so expect less elsewhere. The trunk only: head, neck and legs hold no vessel wide enough,
and no warning is given there, nor for a scan shorter than the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .body import body_mask

ENHANCED_LENGTH_MM = 75.0  # measured: at most 45 mm without contrast (bowel), at least 140 mm with it

_CELL_MM = 1.5  # across the patient: averages noise away, a narrow aorta of 14 mm still has 9 cells
_LONG_CELL_MM = 5.0  # along the patient
_VESSEL_HU = (115.0, 700.0)  # blood is below 60 without contrast; 120 to 200 venous, 250 to 600 arterial
_NOISE_HU = 30.0  # largest standard deviation over 3 x 3 cells; edges and bone are above it
_CORE_AREA_MM2 = (30.0, 1600.0)  # of the vessel without its blurred rim
_LARGEST_ELONGATION = 1.8
_SMALLEST_DEPTH = 0.4  # of the slice's deepest point
_DARKER_HU = 40.0
_DARK_PART = 0.7  # the rest of the ring may be a vertebra or another vessel
_RING_MM = (4.0, 6.0)  # from the core's edge, past the blurred rim


@dataclass(frozen=True)
class _Cells:
    """Smoothed HU, homogeneity and in-plane depth on the coarse grid; arrays are (z, y, x)."""

    hu: np.ndarray  # float32
    core: np.ndarray  # uint8, 1 where bright and homogeneous
    depth: np.ndarray  # float32, 0 at the skin to 1 at the slice's deepest point
    spacing: tuple[float, float, float]  # x, y, z in mm


def enhanced_vessel_length(image: sitk.Image) -> float:
    """Length of the longest enhanced vessel in the volume.

    Args:
        image: 3D scalar volume in HU; any axis may run along the patient, the direction tells which.

    Returns:
        Length along the patient in mm, 0 where none is found. At or above ``ENHANCED_LENGTH_MM`` the volume
        is taken for contrast-enhanced.
    """
    cells = _to_cells(image)
    kept = np.zeros(cells.core.shape, np.uint8)
    for index in range(len(kept)):
        _keep_discs(cells, index, kept[index])
    if not kept.any():
        return 0.0
    tracks = sitk.ConnectedComponent(sitk.GetImageFromArray(kept))
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(tracks)
    # Bounding boxes are (x, y, z, size x, size y, size z), in cells.
    return max(shapes.GetBoundingBox(label)[5] for label in shapes.GetLabels()) * cells.spacing[2]


def already_enhanced(image: sitk.Image) -> bool:
    """Whether the volume holds an enhanced great vessel of at least ``ENHANCED_LENGTH_MM``."""
    return enhanced_vessel_length(image) >= ENHANCED_LENGTH_MM


def _to_cells(image: sitk.Image) -> _Cells:
    along = int(np.argmax(np.abs(image.GetDirection()[6:9])))  # the axis nearest to head-foot
    cell_mm = [_LONG_CELL_MM if axis == along else _CELL_MM for axis in range(3)]
    factors = [max(1, round(cell / step)) for cell, step in zip(cell_mm, image.GetSpacing(), strict=True)]
    coarse = sitk.Cast(sitk.BinShrink(image, factors), sitk.sitkFloat32)
    coarse = sitk.PermuteAxes(coarse, [axis for axis in range(3) if axis != along] + [along])
    hu = sitk.GetArrayFromImage(coarse)
    mean, variance = _moments(hu)
    core = (mean > _VESSEL_HU[0]) & (mean < _VESSEL_HU[1]) & (variance < _NOISE_HU**2)
    return _Cells(hu, core.astype(np.uint8), _depth(coarse), coarse.GetSpacing())


def _moments(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over 3 x 3 cells in-plane."""
    padded = np.pad(hu, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return _box3(padded), _box3(padded**2) - _box3(padded) ** 2


def _box3(padded: np.ndarray) -> np.ndarray:
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def _depth(coarse: sitk.Image) -> np.ndarray:
    quarter = sitk.Shrink(body_mask(coarse), [4, 4, 1])
    quarter.SetSpacing((*quarter.GetSpacing()[:2], 1e6))  # slices do not see each other
    distance = sitk.SignedMaurerDistanceMap(quarter, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    depth = np.maximum(sitk.GetArrayFromImage(distance), 0)
    depth /= np.maximum(depth.max(axis=(1, 2), keepdims=True), 1)
    # Back to the grid: coarse cell i lies in cell i // 4, the last ones in the last.
    columns, rows = (np.arange(size) // 4 for size in coarse.GetSize()[:2])
    return depth[:, np.minimum(rows, depth.shape[1] - 1)[:, None], np.minimum(columns, depth.shape[2] - 1)]


def _keep_discs(cells: _Cells, index: int, kept: np.ndarray) -> None:
    """Marks in ``kept`` (y, x) the core parts of one slice that look like a vessel's cross section."""
    plane = sitk.GetImageFromArray(cells.core[index])
    plane.SetSpacing(cells.spacing[:2])
    parts = sitk.ConnectedComponent(plane)
    labels = sitk.GetArrayFromImage(parts)
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(parts)
    margin = round(_RING_MM[1] / min(cells.spacing[:2])) + 2
    for label in shapes.GetLabels():
        if not _CORE_AREA_MM2[0] < shapes.GetPhysicalSize(label) < _CORE_AREA_MM2[1]:
            continue
        if shapes.GetElongation(label) > _LARGEST_ELONGATION:
            continue
        x, y, width, height = shapes.GetBoundingBox(label)
        if cells.depth[index, y + height // 2, x + width // 2] < _SMALLEST_DEPTH:
            continue
        window = slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
        disc = labels[window] == label
        if _dark_around(disc, cells.hu[index][window], cells.spacing):
            kept[window][disc] = 1


def _dark_around(disc: np.ndarray, hu: np.ndarray, spacing: tuple[float, float, float]) -> bool:
    image = sitk.GetImageFromArray(disc.astype(np.uint8))
    near = [max(1, round(_RING_MM[0] / size)) for size in spacing[:2]]
    far = [max(inner + 1, round(_RING_MM[1] / size)) for inner, size in zip(near, spacing[:2], strict=True)]
    hole, full = (sitk.GetArrayFromImage(sitk.BinaryDilate(image, radius)) for radius in (near, far))
    ring = hu[full > hole]
    return ring.size > 0 and float((ring < hu[disc].mean() - _DARKER_HU).mean()) > _DARK_PART
