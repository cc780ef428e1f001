"""Exact tiling: a network without spatial statistics, run tile by tile, gives what one run over everything gives.

Each tile is read with a halo as wide as the network's receptive field, and only what the halo covers is kept. At the
volume's own border a tile sees the same zero padding as the whole volume would. Everything is counted in latent
voxels, since encoder, denoiser and decoder all begin or end there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ..networks.triple import Triple
from ..volume.grid import Box


@dataclass(frozen=True)
class Tiles:
    """How one network is tiled.

    tile: latent voxels (z, y, x) of one tile; clipped to the volume.
    halo: latent voxels beyond a tile on which its result can depend.
    per_latent_in, per_latent_out: voxels (z, y, x) of the network's input and output per latent voxel.
    context: latent slices that the inputs hold beyond both ends of the volume, and that the network takes in beyond
        both ends of a tile and does not give back. Unlike a halo, they cost their layer alone.
    """

    tile: Triple
    halo: Triple
    per_latent_in: Triple = (1, 1, 1)
    per_latent_out: Triple = (1, 1, 1)
    context: int = 0


def count_tiles(shape: Triple, tiles: Tiles) -> int:
    """How many tiles a latent volume of this shape (z, y, x) is cut into."""
    return math.prod(-(-n // t) for n, t in zip(shape, tiles.tile, strict=True))


def run_tiles(
    network: Callable[..., Tensor], shape: Triple, tiles: Tiles, *inputs: Tensor
) -> Iterator[tuple[Box, Tensor]]:
    """Run a network over tiles, one at a time, so that a caller never has to hold more than one.

    Args:
        network: maps tensors [B, C, z, y, x] to one tensor.
        shape: latent shape (z, y, x) of the volume.
        tiles: how to cut it.
        inputs: tensors [B, C, Z, Y, X], each of ``shape * per_latent_in``, and twice the context longer in z.

    Yields:
        The box (z, y, x) of the output, and its values.
    """
    axes = [range(0, n, t) for n, t in zip(shape, tiles.tile, strict=True)]
    for starts in itertools.product(*axes):
        kept: list[slice] = []
        read: list[slice] = []
        inside: list[slice] = []
        for axis, start in enumerate(starts):
            stop = min(start + tiles.tile[axis], shape[axis])
            first = max(start - tiles.halo[axis], 0)
            last = min(stop + tiles.halo[axis], shape[axis])
            into, out = tiles.per_latent_in[axis], tiles.per_latent_out[axis]
            beyond = 2 * tiles.context if axis == 0 else 0
            read.append(slice(first * into, (last + beyond) * into))
            kept.append(slice(start * out, stop * out))
            inside.append(slice((start - first) * out, (stop - first) * out))
        result = network(*(_part(each, *read) for each in inputs))
        yield (kept[0], kept[1], kept[2]), _part(result, *inside)


def _part(volume: Tensor, z: slice, y: slice, x: slice) -> Tensor:
    return volume[..., z, y, x]
