"""The latent denoiser: a U-Net over latents that predicts the change from the NCCT's latent to the CECT's.

Normalised per voxel over channels and without attention: its result does not depend on how much air or anatomy
surrounds a voxel beyond its receptive field, so that it runs in halo tiles exactly. GroupNorm trained on crops and
run on whole volumes made the liver far too bright.

Source: arXiv 2406.13977 (latent diffusion with an NCCT prior); RMSNorm: Zhang and Sennrich, arXiv 1910.07467.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import DenoiserConfig

PLANE = (1, 3, 3)


class ChannelNorm(nn.Module):
    """RMSNorm over the channels of each voxel, with no statistic across space."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # Without the casts, fp32 weights would lift every activation of a bf16 run to fp32.
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return (F.rms_norm(x.movedim(1, -1), (x.shape[1],), weight, 1e-4) + bias).movedim(-1, 1)


class Block(nn.Module):
    """Two axial convolutions; the embedding of step and phase scales and shifts the first's result."""

    def __init__(self, cin: int, cout: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(cin, cout, PLANE, padding=(0, 1, 1))
        self.norm1 = ChannelNorm(cout)
        self.conv2 = nn.Conv3d(cout, cout, PLANE, padding=(0, 1, 1))
        self.norm2 = ChannelNorm(cout)
        self.modulation = nn.Linear(embedding, 2 * cout)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None, None].chunk(2, 1)
        h = F.silu(self.norm1(self.conv1(x)) * (1 + scale) + shift)
        return F.silu(self.norm2(self.conv2(h)))


class LatentDenoiser(nn.Module):
    """Predicts the clean CECT latent x0 from a noisy one and the NCCT's latent.

    An output slice sees ``config.context`` slices; below the first layer all convolutions are axial, since slices are
    thick. The last layer starts at zero: an untrained denoiser returns the NCCT's latent.
    """

    def __init__(self, config: DenoiserConfig, latent_channels: int, phases: int) -> None:
        super().__init__()
        self.config = config
        self.reach = config.context // 2
        width, e = config.channels, config.embedding
        self.phase = nn.Embedding(phases, e)
        self.time = nn.Sequential(nn.Linear(e, e), nn.SiLU(), nn.Linear(e, e))
        self.inlet = nn.Conv3d(2 * latent_channels, width[0], (config.context, 3, 3), padding=(0, 1, 1))
        self.down = nn.ModuleList([Block(width[max(i - 1, 0)], c, e) for i, c in enumerate(width)])
        self.up = nn.ModuleList([Block(a + b, a, e) for a, b in pairwise(width)])
        self.outlet = nn.Conv3d(width[0], latent_channels, PLANE, padding=(0, 1, 1))
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    @property
    def multiple(self) -> tuple[int, int, int]:
        """Latent sizes (z, y, x), and the places where tiles start, must be multiples of this."""
        m = 2 ** (len(self.config.channels) - 1)
        return 1, m, m

    def halo(self) -> tuple[int, int, int]:
        """Latent voxels (z, y, x) beyond a tile on which its result can depend, for tiles that start as above."""
        reach = 3  # outlet and the first level's block, walked from the output back to the input
        skips = [reach]
        for _ in self.up:
            reach = -(-reach // 2) + 2
            skips.append(reach)
        for skip in reversed(skips[:-1]):
            reach = max(2 * reach, skip) + 2
        reach += 1
        m = self.multiple[1]
        return self.reach, -(-reach // m) * m, -(-reach // m) * m

    def forward(
        self, noisy: Tensor, ncct: Tensor, timestep: Tensor, phase: Tensor,
        mask: Tensor | None = None, context: bool = False,
    ) -> Tensor:  # fmt: skip
        """Predict x0.

        Args:
            noisy: scaled noisy latent [B, C, Z, Y, X].
            ncct: standardised latent of the NCCT, same shape.
            timestep: [B], in training steps.
            phase: [B], index into the model's phases.
            mask: dynamic similarity mask [B, 1, Z, Y, X] on what the network sees of the NCCT (training); None: ones.
            context: the slices of context beyond both ends are part of the inputs, and are cut from the result.

        Returns:
            [B, C, Z, Y, X] in fp32; Z is less by ``config.context - 1`` with ``context``.
        """
        x = torch.cat([noisy, ncct if mask is None else mask * ncct], 1)
        if context:
            ncct = ncct[:, :, self.reach : ncct.shape[2] - self.reach]
        else:
            x = F.pad(x, (0, 0, 0, 0, self.reach, self.reach))
        embedding = F.silu(self.time(self._sinusoids(timestep)) + self.phase(phase))
        h = self.inlet(x)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h if level == 0 else F.avg_pool3d(h, (1, 2, 2)), embedding)
            skips.append(h)
        for block, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            h = block(torch.cat([skip, F.interpolate(h, scale_factor=(1.0, 2.0, 2.0))], 1), embedding)
        return ncct.float() + self.outlet(h).float()

    def _sinusoids(self, timestep: Tensor) -> Tensor:
        half = self.config.embedding // 2
        rate = torch.exp(-math.log(1e4) * torch.arange(half, device=timestep.device) / half)
        angle = timestep.float()[:, None] * rate
        return torch.cat([angle.sin(), angle.cos()], 1).to(self.inlet.weight.dtype)
