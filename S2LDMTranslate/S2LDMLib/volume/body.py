"""Where the patient is in a CT volume: threshold, opening, largest component, holes filled slice by slice.

Everything is computed inside the bounding box of all voxels above the threshold and with air assumed outside it.
The result therefore depends on the patient and the table alone, never on how much air the scan or a later padding
put around them: a network that sees the cropped box gives the same voxels for any field of view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .grid import Box

BODY_THRESHOLD_HU = -300.0
_CELL_MM = 2.5  # coarse grid: fine enough to part patient and table, 10 to 100 times fewer cells than voxels
_OPENING_RADIUS_MM = 5.0  # removes table shells, tubes and blankets; a chest wall is thicker
_SMALLEST_BODY_CM3 = 1.0  # below it, what is left is a speck
_PART_OF_LARGEST = 0.3  # the second leg is a body too, a head rest is not


@dataclass(frozen=True)
class _CoarseBody:
    """The body on a coarse grid laid over ``box``; ``outer`` holds all its skin, ``inner`` none of it."""

    box: Box
    factors: tuple[int, ...]  # voxels a cell along z, y, x
    outer: np.ndarray  # bool, cells (z, y, x)
    inner: np.ndarray  # bool, same shape


def body_box(image: sitk.Image) -> Box | None:
    """Bounding box of the patient, without the table where a gap or a thin shell parts it from the patient.

    Args:
        image: 3D scalar volume in HU; any direction, only indices are used.

    Returns:
        Index ranges ``(z, y, x)`` in the order of ``sitk.GetArrayFromImage``, or None where there is no body.
        Air added around the volume shifts the indices and changes nothing else.
    """
    coarse = _coarse_body(image)
    if coarse is None:
        return None
    planes = []
    rows = np.zeros(image.GetSize()[1], bool)
    columns = np.zeros(image.GetSize()[0], bool)
    for index, plane in _mask_planes(image, coarse):
        plane_rows = plane.any(axis=1)
        if plane_rows.any():
            planes.append(index)
            rows[coarse.box[1]] |= plane_rows
            columns[coarse.box[2]] |= plane.any(axis=0)
    y, x = _extent(rows), _extent(columns)
    if y is None or x is None:
        return None
    return slice(planes[0], planes[-1] + 1), y, x


def body_mask(image: sitk.Image) -> sitk.Image:
    """The patient with lungs and bowel gas filled in, without the table.

    Args:
        image: 3D scalar volume in HU.

    Returns:
        uint8 image of the same geometry, 1 inside the patient; all 0 where there is no body.
    """
    mask = np.zeros(image.GetSize()[::-1], np.uint8)
    coarse = _coarse_body(image)
    if coarse is not None:
        for index, plane in _mask_planes(image, coarse):
            mask[(index, *coarse.box[1:])] = plane
    result = sitk.GetImageFromArray(mask)
    result.CopyInformation(image)
    return result


def _mask_planes(image: sitk.Image, coarse: _CoarseBody) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the z index and the mask, bool (y, x) within the box, of one plane after the other.

    So no second volume of voxels is needed.
    """
    voxels = sitk.GetArrayViewFromImage(image)
    z, y, x = coarse.box
    for index in range(z.start, z.stop):
        cell = (index - z.start) // coarse.factors[0]
        above = voxels[index, y, x] > BODY_THRESHOLD_HU
        outer = _to_voxels(coarse.outer[cell], coarse.factors[1:], above.shape)
        inner = _to_voxels(coarse.inner[cell], coarse.factors[1:], above.shape)
        yield index, (above & outer) | inner


def _coarse_body(image: sitk.Image) -> _CoarseBody | None:
    box = _box_above_threshold(image)
    if box is None:
        return None
    spacing = image.GetSpacing()[::-1]
    factors = tuple(max(1, round(_CELL_MM / step)) for step in spacing)
    cells = _to_cells(image, box, factors)
    cell_mm = [factor * step for factor, step in zip(factors, spacing, strict=True)]
    body = _largest_parts(_open_in_plane(cells, cell_mm), cell_mm)
    if body is None:
        return None
    # An opened component has lost its outermost cells: one cell more brings the skin back, voxel by voxel.
    outer = _fill_planes(_morph(sitk.BinaryDilate, body, [1, 1, 1]))
    inner = _morph(sitk.BinaryErode, outer, [2, 2, 0])
    return _CoarseBody(box, factors, outer, inner)


def _box_above_threshold(image: sitk.Image) -> Box | None:
    voxels = sitk.GetArrayViewFromImage(image)
    planes, rows, columns = (np.zeros(size, bool) for size in voxels.shape)
    for index, plane in enumerate(voxels):
        above = plane > BODY_THRESHOLD_HU
        plane_rows = above.any(axis=1)
        planes[index] = plane_rows.any()
        rows |= plane_rows
        columns |= above.any(axis=0)
    z, y, x = _extent(planes), _extent(rows), _extent(columns)
    return None if z is None or y is None or x is None else (z, y, x)


def _to_cells(image: sitk.Image, box: Box, factors: tuple[int, ...]) -> np.ndarray:
    """Which cells, bool (z, y, x), have at least half of their voxels above the threshold."""
    voxels = sitk.GetArrayViewFromImage(image)
    fz, fy, fx = factors
    shape = [-(-(part.stop - part.start) // factor) for part, factor in zip(box, factors, strict=True)]
    cells = np.zeros(shape, bool)
    padded = np.zeros((fz, shape[1] * fy, shape[2] * fx), bool)
    z, y, x = box
    height, width = y.stop - y.start, x.stop - x.start
    for cell in range(shape[0]):
        first = z.start + cell * fz
        slab = voxels[first : min(first + fz, z.stop), y, x]
        padded[:] = False
        padded[: len(slab), :height, :width] = slab > BODY_THRESHOLD_HU
        counts = padded.reshape(fz, shape[1], fy, shape[2], fx).sum(axis=(0, 2, 4), dtype=np.int32)
        cells[cell] = 2 * counts >= len(slab) * fy * fx
    return cells


def _open_in_plane(cells: np.ndarray, cell_mm: list[float]) -> np.ndarray:
    radius = [max(1, round(_OPENING_RADIUS_MM / step)) for step in cell_mm]
    # Not along z: with 5 to 10 mm slices one cell is more than the radius.
    opened = _morph(sitk.BinaryErode, cells, [radius[2], radius[1], 0])
    return _morph(sitk.BinaryDilate, opened, [radius[2], radius[1], 0])


def _morph(operation: Callable[..., sitk.Image], cells: np.ndarray, radius_xyz: list[int]) -> np.ndarray:
    """Apply a binary morphology with air outside the box, whatever ITK would assume at the border."""
    width = [(r, r) for r in radius_xyz[::-1]]
    padded = sitk.GetImageFromArray(np.pad(cells, width).astype(np.uint8))
    result = sitk.GetArrayFromImage(operation(padded, radius_xyz, sitk.sitkBall))
    inside = tuple(slice(r, size - r) for r, size in zip(radius_xyz[::-1], result.shape, strict=True))
    return result[inside].astype(bool)


def _largest_parts(cells: np.ndarray, cell_mm: list[float]) -> np.ndarray | None:
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(cells.astype(np.uint8))))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    if sizes.max() * np.prod(cell_mm) < _SMALLEST_BODY_CM3 * 1000:
        return None
    return (sizes >= _PART_OF_LARGEST * sizes.max())[labels] & cells


def _fill_planes(cells: np.ndarray) -> np.ndarray:
    filled = np.empty_like(cells)
    for index, plane in enumerate(cells):
        # Padded, so that gas which touches the box's edge stays connected to the air outside.
        padded = sitk.GetImageFromArray(np.pad(plane, 1).astype(np.uint8))
        filled[index] = sitk.GetArrayFromImage(sitk.BinaryFillhole(padded))[1:-1, 1:-1]
    return filled


def _to_voxels(cells: np.ndarray, factors: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    return cells.repeat(factors[0], axis=0).repeat(factors[1], axis=1)[: shape[0], : shape[1]]


def _extent(hit: np.ndarray) -> slice | None:
    indices = np.flatnonzero(hit)
    return slice(int(indices[0]), int(indices[-1]) + 1) if len(indices) else None
