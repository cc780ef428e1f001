"""From an NCCT on its own grid to the network's input on the working grid.

Axes are put in LPS order without interpolation, the patient is cut out with a margin of air, thin voxels are averaged,
the working spacing is reached by linear interpolation where it is still far, and HU are windowed. All of it is anchored
at a lattice fixed in space and not at the field of view: more or less air, or slices, around a place change nothing.

The lattice along one axis, as ``_plan_axis`` lays it, for own voxels of 1 mm, a working spacing of 1.5 mm, a margin of
2 mm and a network that asks for a ``multiple`` of 2 working voxels::

    lattice, mm     0     3     6     9     12    15    18    21    24
    own voxels            | | | | | | | | | | | | | | | | | | | | |
    patient                                 |xxxxxxxxx|
    changed                             |xxxxxxxxxxxxxxxxx|
    cells           |     |     |     |     |     |     |     |     |
    working voxels                    |  |  |  |  |  |  |  |  |
    averaged blocks                 |   |   |   |   |   |   |   |
    needed                          |xxxxxxxxxxxxxxxxxxxxxxxxxxx|

The scan may begin anywhere (here at 3 mm: ``shift``). ``changed`` is the patient with the margin, none along z, cut off
where the scan ends. A cell is ``multiple`` working voxels; the cells that hold the patient and the whole margin make
the working grid (8 voxels: ``count``). A block is ``factor`` own voxels, averaged into one; the blocks that hold the
working grid are ``needed``, and are interpolated to the working voxels. Where a block is nearly as long as the working
spacing, the block itself is the working voxel. Cells and blocks are counted from 0 mm of the patient's coordinates,
whatever the scan holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from ..errors import InputError
from ..model.config import PreprocessConfig
from ..networks.triple import Triple, triple
from ..volume.body import body_box
from ..volume.grid import AIR_HU, Box, Grid, to_int16, to_lps
from ..volume.region import Region, grow, is_empty, overlap

TINY = 1e-6  # of a cell: rounding errors must not move the grid


@dataclass(frozen=True)
class Prepared:
    """A volume made ready for the network.

    ncct: normalised volume [1, 1, Z, Y, X]; its sizes are multiples of what the network needs.
    grid: the working grid.
    source: the whole input in LPS axis order, int16 HU, on its own grid.
    box: where in ``source`` the patient is, with the margin, or the part of it in the region; nothing outside the box
        is ever changed.
    """

    ncct: Tensor
    grid: Grid
    source: sitk.Image
    box: Box


def normalise(hu: Tensor, config: PreprocessConfig) -> Tensor:
    """Bring HU to the range of the configuration, clipped to its window."""
    low, high = config.range
    unit = (hu - (config.level - config.window / 2)) / config.window
    return unit.clamp(0, 1) * (high - low) + low


def denormalise(x: Tensor, config: PreprocessConfig) -> Tensor:
    """Bring normalised values back to HU: the inverse of :func:`normalise` within the window."""
    low, high = config.range
    return (x - low) / (high - low) * config.window + (config.level - config.window / 2)


def preprocess(
    image: sitk.Image, config: PreprocessConfig, multiple: Triple, patient: sitk.Image | None = None,
    region: Region | None = None, reach: Triple = (0, 0, 0),
) -> Prepared:  # fmt: skip
    """Cut the patient out and bring it to the working grid.

    Args:
        image: 3D NCCT in HU, any pixel type, orientation and spacing.
        config: the model's preprocessing.
        multiple: sizes (z, y, x) of which the network's input must be a multiple.
        patient: the volume, on the image's own grid, that says where the patient is; None for the image itself. With
            the NCCT here, its registered CECT comes onto the very grid of the NCCT.
        region: the part of the patient that may be changed; None for all.
        reach: working voxels (z, y, x) around the region that its result depends on, and that are kept with it.

    Raises:
        InputError: there is no patient in the image, or none in the region.
    """
    source = to_lps(to_int16(image))
    box = body_box(source if patient is None else to_lps(to_int16(patient)))
    if box is None:
        raise InputError("No patient was found in the volume: nothing is above -300 HU. Is it a CT in HU?")
    wanted = None if region is None else region.box(source)
    if wanted is not None:
        if is_empty(overlap(box, wanted)):
            raise InputError("There is no patient in the region, only air. Move it over the patient.")
        box = overlap(box, grow(wanted, _source_voxels(source, config, reach)))
    axes = [_plan_axis(source, axis, box[2 - axis], config, multiple[2 - axis]) for axis in range(3)]
    working = _resample(_cut(source, axes), axes)
    array = sitk.GetArrayFromImage(working).astype(np.float32)
    x, y, z = (axis.changed for axis in axes)
    changed = (z, y, x) if wanted is None else overlap((z, y, x), wanted)
    return Prepared(normalise(torch.from_numpy(array)[None, None], config), Grid.of(working), source, changed)


def _source_voxels(source: sitk.Image, config: PreprocessConfig, reach: Triple) -> Triple:
    """How many voxels (z, y, x) of the source hold ``reach`` working voxels, and two more for the interpolations."""
    counts = []
    for axis, working in zip((2, 1, 0), reach, strict=True):
        own = source.GetSpacing()[axis]
        target = config.spacing[axis] if config.spacing else own
        counts.append(math.ceil((working + 2) * max(target / own, round(target / own))))
    return triple(counts)


@dataclass(frozen=True)
class _Axis:
    """The working grid along one axis.

    needed: voxels of the source to cut out, a whole number of ``factor``; they may reach beyond the source.
    changed: the part of the source that may be changed.
    factor: how many voxels are averaged into one.
    spacing, count: distance of the working voxels in mm, and how many there are.
    offset: where the first working voxel lies, in averaged voxels from the first of them.
    """

    needed: slice
    changed: slice
    factor: int
    spacing: float
    count: int
    offset: float


def _plan_axis(source: sitk.Image, axis: int, box: slice, config: PreprocessConfig, multiple: int) -> _Axis:
    """Lay the working grid over the patient, on a lattice of ``multiple`` working voxels that is fixed in space.

    A network with pooling gives a voxel the same result only where the voxel lies at the same place of its grid.
    """
    own = source.GetSpacing()[axis]
    origin = np.dot(source.GetOrigin(), np.reshape(source.GetDirection(), (3, 3))[:, axis])
    # Index of the source's first voxel on the lattice; a quarter keeps half-integer origins away from rounding.
    shift = math.floor(origin / own + 0.25)
    target = config.spacing[axis] if config.spacing else own
    factor = max(1, round(target / own))
    averaged = factor * own
    spacing = averaged if abs(averaged / target - 1) <= config.spacing_tolerance else target
    margin = 0 if axis == 2 else math.ceil(config.margin / own)
    start, stop = box.start - margin, box.stop + margin
    cell = multiple * spacing
    low = math.floor((start + shift) * own / cell + TINY) * cell
    count = multiple * math.ceil(((stop + shift) * own - low) / cell - TINY)
    first = math.floor(low / averaged + TINY) * factor
    blocks = math.ceil((low + count * spacing - first * own) / averaged - TINY)
    offset = (low - first * own) / averaged + (spacing / averaged - 1) / 2
    needed = slice(first - shift, first - shift + blocks * factor)
    changed = slice(max(0, start), min(source.GetSize()[axis], stop))
    return _Axis(needed, changed, factor, spacing, count, offset)


def _cut(source: sitk.Image, axes: list[_Axis]) -> sitk.Image:
    """Cut out the needed part of the source: in the plane air follows beyond the source, along z the patient's end
    slices are repeated beyond the patient.
    """
    parts = [
        slice(max(0, a.needed.start), min(n, a.needed.stop)) for a, n in zip(axes[:2], source.GetSize(), strict=False)
    ]
    parts.append(axes[2].changed)  # slices of air beyond the patient must not be averaged into the last ones
    lower = [part.start - a.needed.start for part, a in zip(parts, axes, strict=True)]
    upper = [a.needed.stop - part.stop for part, a in zip(parts, axes, strict=True)]
    image = sitk.ZeroFluxNeumannPad(source[tuple(parts)], [0, 0, lower[2]], [0, 0, upper[2]])
    return sitk.ConstantPad(image, [*lower[:2], 0], [*upper[:2], 0], AIR_HU)


def _resample(image: sitk.Image, axes: list[_Axis]) -> sitk.Image:
    """Average blocks of voxels, then interpolate where that is not yet the working grid."""
    factors = [a.factor for a in axes]
    if max(factors) > 1:
        image = sitk.BinShrink(image, factors)
    spacing, size = [a.spacing for a in axes], [a.count for a in axes]
    if np.allclose(spacing, image.GetSpacing(), rtol=1e-9) and size == list(image.GetSize()):
        return image
    origin = image.TransformContinuousIndexToPhysicalPoint([a.offset for a in axes])
    return sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing, image.GetDirection(), AIR_HU,
        sitk.sitkFloat32, useNearestNeighborExtrapolator=True,
    )  # fmt: skip
