"""A rolling pool of augmented, encoded pairs: augmentation happens in image space, encoding by the frozen encoder.

Encoding costs more than a training step, so every chunk is used several times before a new one takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from S2LDMLib.autoencoder import SyncreticAutoencoder
from S2LDMLib.config import PreprocessConfig
from S2LDMLib.preprocess import normalise
from torch import Tensor

from .augment import AIR, Slab, augment
from .data import Case

SHARE = {"pair": 0.6, "recoloured": 0.3, "phantom": 0.1}


@dataclass(frozen=True)
class LatentChunk:
    """Standardised latents in fp16: ``ncct`` [C, Z, Y, X], ``cect`` [P, C, Z, Y, X], ``valid`` [P, 1, Z, Y, X].

    Where the chunk reaches beyond an end of the volume it holds zeros, the padding that the denoiser meets there.
    """

    ncct: Tensor
    cect: Tensor
    valid: Tensor


class LatentPool:
    """``draw`` gives batches for the denoiser; ``renew`` replaces the oldest chunk."""

    def __init__(
        self, cases: Sequence[Case], autoencoder: SyncreticAutoencoder, preprocess: PreprocessConfig,
        phases: Sequence[str], reach: int, capacity: int, depth: int = 8, seed: int = 0,
    ) -> None:  # fmt: skip
        self.cases = [case for case in cases if case.kind in SHARE]
        slices = {kind: sum(len(c.volume("ncct")) for c in self.cases if c.kind == kind) for kind in SHARE}
        weights = np.array([SHARE[c.kind] * len(c.volume("ncct")) / slices[c.kind] for c in self.cases])
        self.weights = weights / weights.sum()
        self.autoencoder, self.preprocess, self.phases = autoencoder, preprocess, tuple(phases)
        self.reach, self.depth = reach, depth
        self.rng = np.random.default_rng(seed)
        self.chunks = [self._encode() for _ in range(capacity)]
        self.oldest = 0

    def renew(self) -> None:
        self.chunks[self.oldest] = self._encode()
        self.oldest = (self.oldest + 1) % len(self.chunks)

    def draw(self, count: int, depth: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch of ``count`` chunks times all phases, so that each step sees what tells the phases apart.

        Shifted by whole latent voxels, so that the denoiser's pooling meets every place of its grid.

        Returns:
            Latents of NCCT and CECT with context [B, C, depth + context, Y, X], validity [B, 1, depth, Y, X],
            phase [B].
        """
        ncct, cect, valid = [], [], []
        for _ in range(count):
            chunk = self.chunks[self.rng.integers(len(self.chunks))]
            z = int(self.rng.integers(chunk.ncct.shape[1] - depth - 2 * self.reach + 1))
            shift = tuple(int(s) for s in self.rng.integers(-4, 5, 2))
            core, whole = slice(z + self.reach, z + self.reach + depth), slice(z, z + depth + 2 * self.reach)
            ncct.append(chunk.ncct[None, :, whole].roll(shift, (3, 4)).expand(len(self.phases), -1, -1, -1, -1))
            cect.append(chunk.cect[:, :, whole].roll(shift, (3, 4)))
            valid.append(chunk.valid[:, :, core].roll(shift, (3, 4)))
        phase = torch.arange(len(self.phases)).repeat(count)
        return torch.cat(ncct).float(), torch.cat(cect).float(), torch.cat(valid).float(), phase

    @torch.no_grad()
    def _encode(self) -> LatentChunk:
        case = self.cases[self.rng.choice(len(self.cases), p=self.weights)]
        slab, ends = self._slab(case)
        slab = augment(slab, self.rng)
        images = normalise(torch.cat([slab.ncct[None], slab.cect])[:, None], self.preprocess)
        with torch.autocast("cpu", torch.bfloat16):
            latents = torch.cat([self.autoencoder.encode(image[None]) for image in images])
        # A latent voxel counts only where all voxels below it are valid.
        valid = -F.max_pool3d(-slab.valid[:, None], self.autoencoder.stride)
        latents, valid = (F.pad(x, (0, 0, 0, 0, *ends)).half() for x in (latents, valid))
        return LatentChunk(latents[0], latents[1:], valid)

    def _slab(self, case: Case) -> tuple[Slab, tuple[int, int]]:
        """Consecutive slices of a case, fitted to planes of 256 x 256; and the padding due at both ends."""
        ncct, depth = case.volume("ncct"), self.depth + 2 * self.reach
        start = int(self.rng.integers(-self.reach, max(1, len(ncct) - depth + self.reach + 1)))
        first, last = max(0, start), min(len(ncct), start + depth)
        ends = (first - start, start + depth - last)

        def fitted(volume: np.ndarray, fill: float) -> Tensor:
            return _fit(np.asarray(volume[first:last], np.float32), fill)

        cect = torch.stack([fitted(case.volume(phase), AIR) for phase in self.phases])
        valid = torch.stack([fitted(case.valid(phase), 0) for phase in self.phases])
        slab = Slab(fitted(ncct, AIR), cect, valid)
        if self.rng.random() < 0.5:
            slab, ends = Slab(slab.ncct.flip(0), slab.cect.flip(1), slab.valid.flip(1)), ends[::-1]
        return slab, ends


def _fit(volume: np.ndarray, fill: float, size: int = 256) -> Tensor:
    """Centre-crop or pad the axial plane to ``size``, a multiple of the stride and of the denoiser's own."""
    for axis in (1, 2):
        cut = max(0, volume.shape[axis] - size) // 2
        volume = volume.take(range(cut, min(cut + size, volume.shape[axis])), axis)
        missing = size - volume.shape[axis]
        width = [(0, 0)] * 3
        width[axis] = (missing // 2, missing - missing // 2)
        volume = np.pad(volume, width, constant_values=fill)
    return torch.from_numpy(np.ascontiguousarray(volume))
