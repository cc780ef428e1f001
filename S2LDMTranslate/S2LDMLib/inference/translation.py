"""One run of the networks over a prepared volume: the algorithm itself, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.config import ModelConfig
from ..networks.autoencoder import SyncreticAutoencoder
from ..networks.denoiser import LatentDenoiser
from ..progress import ProgressReporter
from .devices import Plan, choose_tile
from .sampler import in_blended_windows, initial_noise, sample_paper, sample_product
from .scheduler import LatentScheduler
from .tiling import Tiles, Triple, count_tiles, run_tiles

if TYPE_CHECKING:
    from ..networks.paper_denoiser import PaperDenoiser

LAYOUT = torch.channels_last_3d
LIVE_LAYERS = 3  # of the finest level are in memory at once


class Translation:
    """One attempt with a given device, precision and tile size: encode, sample, decode."""

    def __init__(
        self, config: ModelConfig, autoencoder: SyncreticAutoencoder, denoiser: LatentDenoiser | PaperDenoiser,
        scheduler: LatentScheduler, plan: Plan, report: ProgressReporter,
    ) -> None:  # fmt: skip
        self.autoencoder = autoencoder.to(plan.device, memory_format=LAYOUT)
        self.denoiser = denoiser.to(plan.device, memory_format=LAYOUT)
        self.config, self.scheduler, self.plan, self.report = config, scheduler, plan, report

    @torch.inference_mode()
    def __call__(self, ncct: Tensor, phase: int, steps: int, seed: int, detail: str) -> np.ndarray:
        """Normalised NCCT [1, 1, Z, Y, X] to HU, or with ``native`` detail to the enhancement in HU, (Z, Y, X)."""
        precision = torch.autocast(self.plan.device.type, self.plan.dtype, enabled=self.plan.dtype != torch.float32)
        with precision, torch.backends.cudnn.flags(benchmark=False, deterministic=True):
            z_n = self.encode(ncct)
            z = self.sample(z_n, phase, steps, seed)
            output = self.decode(z, z_n, detail)
        low, high = self.config.preprocess.range
        output *= self.config.preprocess.window / (high - low)
        if detail == "model":
            window, level = self.config.preprocess.window, self.config.preprocess.level
            output += level - window / 2 - low * window / (high - low)
        return output[0, 0].numpy()

    def encode(self, ncct: Tensor) -> Tensor:
        """E in tiles: [1, 1, Z, Y, X] on the CPU to z_n [1, C, Z', Y', X'] on the device."""
        stride = self.autoencoder.stride
        shape = tuple(n // s for n, s in zip(ncct.shape[2:], stride, strict=True))
        z_n = torch.empty(1, self.autoencoder.config.latent_channels, *shape, device=self.plan.device)
        tiles = self._autoencoder_tiles(shape, self.autoencoder.encoder_halo(), per_latent_in=stride)
        total = count_tiles(shape, tiles)
        for done, (region, part) in enumerate(run_tiles(self._encode_tile, shape, tiles, ncct), 1):
            z_n[(..., *region)] = part
            self.report.report("encode", done, total)
        return z_n

    def sample(self, z_n: Tensor, phase: int, steps: int, seed: int) -> Tensor:
        """z_n to z of the CECT, by the sampler that the model was trained for."""
        noise = initial_noise(z_n.shape, seed).to(z_n.device)
        phases = torch.tensor([phase], device=z_n.device)
        if isinstance(self.denoiser, LatentDenoiser):
            return sample_product(self._product_predict(z_n, phases, steps), self.scheduler, z_n, steps, noise)
        return sample_paper(self._paper_predict(phases, steps), self.scheduler, z_n, steps, noise)

    def decode(self, z: Tensor, z_n: Tensor, detail: str) -> Tensor:
        """D(Q(z)) in tiles, less D(Q(z_n)) for ``native`` detail; [1, 1, Z, Y, X] on the CPU, normalised units."""
        stride, shape = self.autoencoder.stride, tuple(z.shape[2:])
        output = torch.empty(1, 1, *(n * s for n, s in zip(shape, stride, strict=True)))
        tiles = self._autoencoder_tiles(shape, self.autoencoder.decoder_halo(), per_latent_out=stride)
        total = count_tiles(shape, tiles)
        inputs = (z, z_n) if detail == "native" else (z,)
        for done, (region, part) in enumerate(run_tiles(self._decode_tile, shape, tiles, *inputs), 1):
            output[(..., *region)] = part.cpu()
            self.report.report("decode", done, total)
        return output

    def _encode_tile(self, x: Tensor) -> Tensor:
        return self.autoencoder.encode(x.to(self.plan.device).contiguous(memory_format=LAYOUT))

    def _decode_tile(self, *latents: Tensor) -> Tensor:
        z, *z_n = (self.autoencoder.quantize(part) for part in latents)
        image = self.autoencoder.decode(z.contiguous(memory_format=LAYOUT))
        for part in z_n:
            image = image - self.autoencoder.decode(part.contiguous(memory_format=LAYOUT))
        return image

    def _autoencoder_tiles(self, shape: Triple, halo: Triple, **per_latent: Triple) -> Tiles:
        levels = self.autoencoder.config
        finest = math.prod(self.autoencoder.stride) // math.prod(levels.strides[0] if levels.strides else (1,))
        voxels = finest * (levels.channels[0] if levels.channels else 1)
        return Tiles(self._choose_tile(shape, halo, (1, 1, 1), voxels), halo, **per_latent)

    def _choose_tile(self, shape: Triple, halo: Triple, multiple: Triple, values: int) -> Triple:
        """``values``: of one layer of the finest level, per latent voxel."""
        cost = LIVE_LAYERS * values * self.plan.dtype.itemsize
        return choose_tile(shape, halo, multiple, cost, self.plan.tile_bytes, self.plan.enough_bytes)

    def _product_predict(self, z_n: Tensor, phase: Tensor, steps: int) -> Callable[[Tensor, Tensor, int], Tensor]:
        """The denoiser in exact tiles, each with the slices that its first layer sees; reports each of each step."""
        shape, reach = tuple(z_n.shape[2:]), self.denoiser.reach
        halo = (0, *self.denoiser.halo()[1:])
        tile = self._choose_tile(shape, halo, self.denoiser.multiple, 2 * self.denoiser.config.channels[0])
        tiles = Tiles(tile, halo, context=reach)
        total, done = steps * count_tiles(shape, tiles), 0

        def with_context(latent: Tensor) -> Tensor:
            return F.pad(latent, (0, 0, 0, 0, reach, reach))

        def predict(scaled: Tensor, ncct: Tensor, t: int) -> Tensor:
            nonlocal done
            time = torch.tensor([t], device=z_n.device)

            def denoise(x: Tensor, n: Tensor) -> Tensor:
                return self.denoiser(x, n, time, phase, context=True)

            x0 = torch.empty_like(ncct)
            for region, part in run_tiles(denoise, shape, tiles, with_context(scaled), with_context(ncct)):
                x0[(..., *region)] = part
                done += 1
                self.report.report("translate", done, total)
            return x0

        return predict

    def _paper_predict(self, phase: Tensor, steps: int) -> Callable[[Tensor, Tensor, int], Tensor]:
        """The paper's denoiser in blended windows; reports each step."""
        predict = in_blended_windows(lambda x, t: self.denoiser(x, t, phase), self.denoiser.window)
        done = 0

        def counted(x: Tensor, z_n: Tensor, t: int) -> Tensor:
            nonlocal done
            epsilon = predict(x, t).float()
            done += 1
            self.report.report("translate", done, steps)
            return epsilon

        return counted
