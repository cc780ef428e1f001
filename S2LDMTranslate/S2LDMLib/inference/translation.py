"""One run of the networks over a prepared volume: the algorithm itself, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.config import ModelConfig
from ..networks.autoencoder import SyncreticAutoencoder
from ..networks.denoisers import Denoiser, Run
from ..networks.planar import channels_last
from ..networks.triple import Triple, triple
from ..progress import ProgressReporter
from .devices import Plan, choose_tile
from .scheduler import LatentScheduler
from .tiling import Tiles, count_tiles, run_tiles

LAYOUT = torch.channels_last_3d
LIVE_LAYERS = 3  # so many layers of the finest level are in memory at once


class Translation:
    """One attempt with a given device, precision and tile size: encode, sample, decode."""

    def __init__(
        self, config: ModelConfig, autoencoder: SyncreticAutoencoder, denoiser: Denoiser,
        scheduler: LatentScheduler, plan: Plan, report: ProgressReporter,
    ) -> None:  # fmt: skip
        self.autoencoder = channels_last(autoencoder.to(plan.device))
        self.denoiser = channels_last(denoiser.to(plan.device))
        self.config, self.scheduler, self.plan, self.report = config, scheduler, plan, report

    @torch.inference_mode()
    def __call__(self, ncct: Tensor, phase: int, steps: int, seed: int, detail: str) -> np.ndarray:
        """Encode, sample and decode one volume.

        Args:
            ncct: normalised NCCT [1, 1, Z, Y, X] on the CPU.
            phase: index into the model's phases.
            steps: passes of the denoiser.
            seed: of the noise.
            detail: ``native`` or ``model``.

        Returns:
            float32 (Z, Y, X): the CECT in HU, or with ``native`` detail its difference to the NCCT in HU.
        """
        precision = torch.autocast(self.plan.device.type, self.plan.dtype, enabled=self.plan.dtype != torch.float32)
        with precision, torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
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
        """Run E in tiles: from [1, 1, Z, Y, X] on the CPU to z_n [1, C, Z', Y', X'] on the device."""
        stride = self.autoencoder.stride
        shape = triple(n // s for n, s in zip(ncct.shape[2:], stride, strict=True))
        z_n = torch.empty(1, self.autoencoder.config.latent_channels, *shape, device=self.plan.device)
        tiles = self._autoencoder_tiles(shape, self.autoencoder.encoder_halo(), per_latent_in=stride)
        total = count_tiles(shape, tiles)
        for done, (region, part) in enumerate(run_tiles(self._encode_tile, shape, tiles, ncct), 1):
            z_n[..., *region] = part
            self.report.report("encode", done, total)
        return z_n

    def sample(self, z_n: Tensor, phase: int, steps: int, seed: int) -> Tensor:
        """Lead the NCCT's latent to the CECT's, in the denoiser's own way of sampling.

        Args:
            z_n: standardised latent of the NCCT [1, C, Z', Y', X'] on the device.
            phase: index into the model's phases.
            steps: passes of the denoiser over the latent.
            seed: of the standard normal noise, which is the same on every device.

        Returns:
            z, the standardised latent of the CECT, of the same shape in fp32.
        """
        phases = torch.tensor([phase], device=z_n.device)
        # On the CPU, so that a seed means the same on every device.
        noise = torch.randn(z_n.shape, generator=torch.Generator().manual_seed(seed)).to(z_n.device)
        run = self._run_denoiser(steps, triple(z_n.shape[2:]))
        return self.denoiser.sample(z_n, phases, self.scheduler, steps, noise, run)

    def decode(self, z: Tensor, z_n: Tensor, detail: str) -> Tensor:
        """Compute D(Q(z)) in tiles, less D(Q(z_n)) for ``native`` detail: normalised [1, 1, Z, Y, X] on the CPU."""
        stride, shape = self.autoencoder.stride, triple(z.shape[2:])
        output = torch.empty(1, 1, *(n * s for n, s in zip(shape, stride, strict=True)))
        tiles = self._autoencoder_tiles(shape, self.autoencoder.decoder_halo(), per_latent_out=stride)
        total = count_tiles(shape, tiles)
        inputs = (z, z_n) if detail == "native" else (z,)
        for done, (region, part) in enumerate(run_tiles(self._decode_tile, shape, tiles, *inputs), 1):
            output[..., *region] = part.cpu()
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

    def _autoencoder_tiles(
        self, shape: Triple, halo: Triple, per_latent_in: Triple = (1, 1, 1), per_latent_out: Triple = (1, 1, 1)
    ) -> Tiles:
        levels = self.autoencoder.config
        finest = math.prod(self.autoencoder.stride) // math.prod(levels.strides[0] if levels.strides else (1,))
        voxels = finest * (levels.channels[0] if levels.channels else 1)
        return Tiles(self._choose_tile(shape, halo, (1, 1, 1), voxels), halo, per_latent_in, per_latent_out)

    def _choose_tile(self, shape: Triple, halo: Triple, multiple: Triple, values: int) -> Triple:
        """``values``: how many one layer of the finest level holds for each latent voxel."""
        cost = LIVE_LAYERS * values * self.plan.dtype.itemsize
        return choose_tile(shape, halo, multiple, cost, self.plan.tile_bytes, self.plan.enough_bytes)

    def _run_denoiser(self, steps: int, shape: Triple) -> Run:
        """What runs the network over the whole latent and reports it: in exact tiles where the denoiser allows them."""
        denoiser, done = self.denoiser, 0
        if not denoiser.is_tileable:

            def run_whole(network: Callable[..., Tensor], *latents: Tensor) -> Tensor:
                nonlocal done
                result = network(*latents).float()
                done += 1
                self.report.report("translate", done, steps)
                return result

            return run_whole
        context, (_, *plane) = denoiser.context, denoiser.reach()
        halo = (0, plane[0], plane[1])
        tile = self._choose_tile(shape, halo, denoiser.multiple, denoiser.values_per_voxel)
        tiles = Tiles(tile, halo, context=context)
        total = steps * count_tiles(shape, tiles)

        def run_in_tiles(network: Callable[..., Tensor], *latents: Tensor) -> Tensor:
            nonlocal done
            result = torch.empty_like(latents[0])
            padded = (F.pad(latent, (0, 0, 0, 0, context, context)) for latent in latents)
            for box, part in run_tiles(network, shape, tiles, *padded):
                result[..., *box] = part
                done += 1
                self.report.report("translate", done, total)
            return result

        return run_in_tiles
