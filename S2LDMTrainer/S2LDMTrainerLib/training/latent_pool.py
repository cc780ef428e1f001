"""Latents to train the denoiser on: augmented in image space, encoded by the frozen encoder, kept for a while.

Encoding can cost more than a training step, so a chunk of slices is used several times before a new one takes its
place. What a pool holds at a step is a function of the seed and the step alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from S2LDMLib.inference.preprocess import normalise
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from torch import Tensor

from ..recipe import Recipe
from .augment import Slab
from .machine import Machine
from .slabs import SlabDataset, slab_batches

MOST_SHIFT = 4  # latent voxels
SOFT_TISSUE_HU = (-30.0, 120.0)  # of an NCCT: what can take up contrast medium, oral contrast and bone not


@dataclass(frozen=True)
class LatentChunk:
    """Standardised latents in fp16: ``ncct`` [C, Z, Y, X], ``cect`` [P, C, Z, Y, X], ``weight`` [P, 1, Z, Y, X].

    The weight, of the error of a latent voxel, is 0 where the pair is not valid. Where the chunk reaches beyond an end
    of the volume it holds zeros, the padding that the denoiser meets there.
    """

    ncct: Tensor
    cect: Tensor
    weight: Tensor

    def cut(self, depth: int, reach: int, rng: np.random.Generator) -> LatentChunk:
        """Cut out slices with ``reach`` slices of context; shifted, so that pooling meets all places of its grid."""
        z = int(rng.integers(self.ncct.shape[1] - depth - 2 * reach + 1))
        shift = tuple(int(s) for s in rng.integers(-MOST_SHIFT, MOST_SHIFT + 1, 2))
        core, whole = slice(z + reach, z + reach + depth), slice(z, z + depth + 2 * reach)
        return LatentChunk(
            self.ncct[:, whole].roll(shift, (2, 3)), self.cect[:, :, whole].roll(shift, (3, 4)),
            self.weight[:, :, core].roll(shift, (3, 4)),
        )  # fmt: skip


class LatentPool:
    """Holds chunks for each sample of the batch that this process trains on."""

    def __init__(
        self, samples: SlabDataset, autoencoder: SyncreticAutoencoder, recipe: Recipe, machine: Machine, reach: int
    ) -> None:
        self.samples, self.autoencoder, self.recipe, self.machine = samples, autoencoder, recipe, machine
        self.own, self.reach = recipe.diffusion_training, reach
        self.slots = machine.slots(self.own.schedule.batch)
        self._chunks: list[deque[LatentChunk]] = []
        self._generation = 0  # of the oldest chunk

    def begin(self, step: int) -> None:
        """Fill the pool as it is at a step."""
        self._generation = step // self.own.renew_every
        self._chunks = [deque(maxlen=self.own.chunks) for _ in self.slots]
        batch, workers = self.own.schedule.batch, self.recipe.data.workers
        self._slabs: Iterator[list[Slab]] = slab_batches(self.samples, self.slots, batch, self._generation, workers)
        for _ in range(self.own.chunks):
            self._add()

    def draw(self, step: int) -> list[LatentChunk]:
        """Draw a sample for each slot."""
        while self._generation < step // self.own.renew_every:
            self._add()
            self._generation += 1
        depth = self.own.crop[0] // self.autoencoder.stride[0]
        drawn = []
        for slot, chunks in zip(self.slots, self._chunks, strict=True):
            rng = np.random.default_rng((self.recipe.seed, 3, step, slot))
            drawn.append(chunks[rng.integers(len(chunks))].cut(depth, self.reach, rng))
        return drawn

    def _add(self) -> None:
        for chunks, slab in zip(self._chunks, next(self._slabs), strict=True):
            chunks.append(self._encode(slab))

    @torch.no_grad()
    def _encode(self, slab: Slab) -> LatentChunk:
        images = normalise(torch.cat([slab.ncct[None], slab.cect])[:, None], self.recipe.preprocess)
        images = images.to(self.machine.device)
        with self.machine.accelerator.autocast():
            latents = torch.cat([self.autoencoder.encode(image[None]) for image in images])
        weight = self._weight(slab)
        ends = tuple(n // self.autoencoder.stride[0] for n in slab.ends)
        latents, weight = (F.pad(x, (0, 0, 0, 0, *ends)).half() for x in (latents, weight))
        return LatentChunk(latents[0], latents[1:], weight)

    def _weight(self, slab: Slab) -> Tensor:
        """Weigh latent voxels [P, 1, Z, Y, X]: one counts only where all voxels below it are valid, and less where they
        hold no soft tissue: there, edges that breathing has moved are most of the error and none of the enhancement."""
        device, stride = self.machine.device, self.autoencoder.stride
        valid = -F.max_pool3d(-slab.valid[:, None].to(device), stride)
        low, high = SOFT_TISSUE_HU
        soft = ((slab.ncct > low) & (slab.ncct < high)).float()[None, None].to(device)
        elsewhere = self.own.elsewhere_weight
        return valid * (elsewhere + (1 - elsewhere) * F.avg_pool3d(soft, stride))
