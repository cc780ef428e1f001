"""Does a CT volume already hold intravenous contrast? A translation would then enhance it a second time.

The sign looked for is an enhanced aorta (or inferior vena cava): a bright, homogeneous, roundish disc deep in the
body, darker tissue around it, that continues over many slices. Each condition keeps one look-alike out:
homogeneous (bone), dark surround (marrow within its cortex), round and of vessel size (stomach, heart, liver),
deep (colon), long (duodenum, disc, kidney, calcification, Lipiodol). Where an artery touches a vertebra, its surround
is less dark: such a disc counts where it continues one with a dark surround.

Measured on 23 real volumes of 8 patients: all 18 enhanced ones found, arterial and venous, and no alarm on the 5
non-contrast ones, oral contrast and Lipiodol among them (``Testing/guard/test_input_checks.py``). The limits below were
chosen on the same volumes, so expect less elsewhere. The trunk only: head, neck and legs hold no vessel wide enough,
and no warning is given there.

A scan shorter than the limit cannot be judged so. There a vessel over nearly its whole length is the sign, and less
sure. In slabs cut from the same volumes (false alarms without contrast, found with it):

===========  ========  ==========
slab         alarms    found
===========  ========  ==========
20 mm        20 / 206  681 / 695
30 mm        8 / 196   636 / 659
40 mm        2 / 119   296 / 314
60 mm        0 / 66    175 / 189
===========  ========  ==========
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .coarse_scan import CoarseScan, coarse_scan

ENHANCED_LENGTH_MM = 75.0  # measured: at most 45 mm without contrast (bowel), at least 140 mm with it
_SHORT_PART = 0.9  # of a short scan's length

_VESSEL_HU = (115.0, 700.0)  # blood is below 60 without contrast; 120 to 200 venous, 250 to 600 arterial
_NOISE_HU = 30.0  # largest standard deviation over 3 x 3 cells; edges and bone are above it
_CORE_AREA_MM2 = (30.0, 1600.0)  # of the vessel without its blurred rim
_LARGEST_ELONGATION = 1.8
_SMALLEST_DEPTH = 0.4  # of the slice's deepest point
_DARKER_HU = 40.0
_DARK_PART = 0.7  # the rest of the ring may be a vertebra or another vessel
_DARK_PART_OF_NEIGHBOUR = 0.55
_RING_MM = (4.0, 6.0)  # from the core's edge, past the blurred rim


def vessel_length(scan: CoarseScan) -> float:
    """Length of the longest enhanced vessel in the scan: mm along the patient, 0 where none is found."""
    core, depth = _core(scan.hu), _depth(scan)
    dark = np.zeros(core.shape, np.float32)
    for index in range(len(core)):
        _mark_discs(scan, core[index], depth[index], index, dark[index])
    tracks = sitk.ConnectedComponent(sitk.GetImageFromArray((dark > _DARK_PART_OF_NEIGHBOUR).astype(np.uint8)))
    sure = np.unique(sitk.GetArrayViewFromImage(tracks)[dark > _DARK_PART])
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(tracks)
    # Bounding boxes are (x, y, z, size x, size y, size z), in cells.
    return max((shapes.GetBoundingBox(int(label))[5] for label in sure), default=0) * scan.spacing[2]


def length_limit(scan: CoarseScan) -> float:
    """With a vessel longer than this, in mm, the scan is taken for contrast-enhanced."""
    return min(ENHANCED_LENGTH_MM, _SHORT_PART * scan.length_mm)


def enhanced_vessel_length(image: sitk.Image) -> float:
    """:func:`vessel_length` of a 3D scalar volume in HU; any axis may run along the patient."""
    return vessel_length(coarse_scan(image))


def already_enhanced(image: sitk.Image) -> bool:
    """Whether the volume holds an enhanced great vessel longer than :func:`length_limit`."""
    scan = coarse_scan(image)
    return vessel_length(scan) > length_limit(scan)


def _core(hu: np.ndarray) -> np.ndarray:
    """Where the scan is bright and homogeneous: uint8 (z, y, x), 1 there."""
    mean, variance = _moments(hu)
    return ((mean > _VESSEL_HU[0]) & (mean < _VESSEL_HU[1]) & (variance < _NOISE_HU**2)).astype(np.uint8)


def _moments(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over 3 x 3 cells in-plane."""
    padded = np.pad(hu, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return _box3(padded), _box3(padded**2) - _box3(padded) ** 2


def _box3(padded: np.ndarray) -> np.ndarray:
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def _depth(scan: CoarseScan) -> np.ndarray:
    """How deep each cell lies in the body: float32 (z, y, x), 0 at the skin to 1 at the slice's deepest point."""
    quarter = sitk.GetImageFromArray(scan.body[:, ::4, ::4].astype(np.uint8))
    quarter.SetSpacing((4 * scan.spacing[0], 4 * scan.spacing[1], 1e6))  # slices do not see each other
    distance = sitk.SignedMaurerDistanceMap(quarter, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    depth = np.maximum(sitk.GetArrayFromImage(distance), 0)
    depth /= np.maximum(depth.max(axis=(1, 2), keepdims=True), 1)
    rows, columns = (np.arange(size) // 4 for size in scan.body.shape[1:])
    return depth[:, rows[:, None], columns]


def _mark_discs(scan: CoarseScan, core: np.ndarray, depth: np.ndarray, index: int, dark: np.ndarray) -> None:
    """Writes into ``dark`` (y, x), for core parts of one slice that look like a vessel's cross section, how much of
    their surround is darker.
    """
    plane = sitk.GetImageFromArray(core)
    plane.SetSpacing(scan.spacing[:2])
    parts = sitk.ConnectedComponent(plane)
    labels = sitk.GetArrayFromImage(parts)
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(parts)
    margin = round(_RING_MM[1] / min(scan.spacing[:2])) + 2
    for label in shapes.GetLabels():
        if not _CORE_AREA_MM2[0] < shapes.GetPhysicalSize(label) < _CORE_AREA_MM2[1]:
            continue
        if shapes.GetElongation(label) > _LARGEST_ELONGATION:
            continue
        x, y, width, height = shapes.GetBoundingBox(label)
        if depth[y + height // 2, x + width // 2] < _SMALLEST_DEPTH:
            continue
        window = slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
        disc = labels[window] == label
        dark[window][disc] = _dark_around(disc, scan.hu[index][window], scan.spacing)


def _dark_around(disc: np.ndarray, hu: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Part of the ring around a disc that is darker than it, 0 to 1."""
    image = sitk.GetImageFromArray(disc.astype(np.uint8))
    near = [max(1, round(_RING_MM[0] / size)) for size in spacing[:2]]
    far = [max(inner + 1, round(_RING_MM[1] / size)) for inner, size in zip(near, spacing[:2], strict=True)]
    hole, full = (sitk.GetArrayFromImage(sitk.BinaryDilate(image, radius)) for radius in (near, far))
    ring = hu[full > hole]
    return float((ring < hu[disc].mean() - _DARKER_HU).mean()) if ring.size else 0.0
