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

from ..model.config import DenoiserConfig
from .denoisers import Denoiser, Run, Scheduler
from .planar import to_slabs, to_volume
from .triple import Triple

EPSILON = 1e-4


class ChannelNorm(nn.Module):
    """RMSNorm over the channels of each voxel, with no statistic across space, of planes [N, C, Y, X]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, modulation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Normalise; a modulation (scale, shift), [N, C] each, gives ``y * (1 + scale) + shift`` in the same pass."""
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if modulation is not None:
            scale, shift = modulation
            weight, bias = (weight * (1 + scale))[:, None, None], (bias * (1 + scale) + shift)[:, None, None]
        # Few passes over memory, which is what a norm costs. The sum is fp32; without the casts, fp32 weights would
        # lift every activation of a bf16 run to fp32.
        x = x.movedim(1, -1)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        factor = torch.rsqrt(norm.square() / x.shape[-1] + EPSILON).to(x.dtype)
        return torch.addcmul(bias.to(x.dtype), x * factor, weight.to(x.dtype)).movedim(-1, 1)


class Block(nn.Module):
    """Two axial convolutions; the embedding of step and phase scales and shifts the first's result."""

    def __init__(self, cin: int, cout: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        self.norm1 = ChannelNorm(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.norm2 = ChannelNorm(cout)
        self.modulation = nn.Linear(embedding, 2 * cout)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Takes planes [N, C, Y, X] and an embedding for each of them [N, E], or one for all [1, E]."""
        scale, shift = self.modulation(embedding).chunk(2, 1)
        # In place where nothing is kept for a gradient: an activation less in memory.
        in_place = not torch.is_grad_enabled()
        h = F.silu(self.norm1(self.conv1(x), (scale, shift)), in_place)
        return F.silu(self.norm2(self.conv2(h)), in_place)


class LatentDenoiser(Denoiser):
    """Predicts the clean CECT latent x0 from a noisy one and the NCCT's latent.

    An output slice sees ``config.context`` slices; below the first layer all convolutions are axial, since slices are
    thick. The last layer starts at zero: an untrained denoiser returns the NCCT's latent.
    """

    is_tileable = True
    FORMER_NAMES = {"inlet": "conv_in", "outlet": "conv_out"}  # noqa: RUF012  of format 1

    def __init__(self, config: DenoiserConfig, latent_channels: int, phases: int) -> None:
        super().__init__(config)
        self.multiple = config.multiple
        self.context = config.context // 2
        self.values_per_voxel = 2 * config.channels[0]
        width, e = config.channels, config.embedding
        self.phase = nn.Embedding(phases, e)
        self.time = nn.Sequential(nn.Linear(e, e), nn.SiLU(), nn.Linear(e, e))
        self.conv_in = nn.Conv2d(2 * latent_channels * config.context, width[0], 3, padding=1)
        self.down = nn.ModuleList([Block(width[max(i - 1, 0)], c, e) for i, c in enumerate(width)])
        self.up = nn.ModuleList([Block(a + b, a, e) for a, b in pairwise(width)])
        self.conv_out = nn.Conv2d(width[0], latent_channels, 3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def reach(self) -> Triple:
        """Latent voxels (z, y, x) around a tile on which its result can depend, where it starts at a ``multiple``.

        All that it sees along z is seen by the first layer: see ``context`` of :meth:`forward`.
        """
        reach = 3  # conv_out and the first level's block, walked from the output back to the input
        skips = [reach]
        for _ in self.up:
            reach = -(-reach // 2) + 2
            skips.append(reach)
        for skip in reversed(skips[:-1]):
            reach = max(2 * reach, skip) + 2
        reach += 1
        m = self.multiple[1]
        return self.context, -(-reach // m) * m, -(-reach // m) * m

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
            ncct = ncct[:, :, self.context : ncct.shape[2] - self.context]
        else:
            x = F.pad(x, (0, 0, 0, 0, self.context, self.context))
        embedding = F.silu(self.time(self._sinusoids(timestep)) + self.phase(phase))
        h = self.conv_in(to_slabs(x, self.config.context))
        if len(embedding) > 1:
            embedding = embedding.repeat_interleave(len(h) // len(embedding), 0)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(h if level == 0 else F.avg_pool2d(h, 2), embedding)
            skips.append(h)
        for block, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            h = block(torch.cat([skip, F.interpolate(h, scale_factor=2.0)], 1), embedding)
        return ncct.float() + to_volume(self.conv_out(h), len(ncct)).float()

    def sample(self, z_n: Tensor, phase: Tensor, scheduler: Scheduler, steps: int, noise: Tensor, run: Run) -> Tensor:
        """Predict x0 by DDIM with the NCCT's latent given and the similarity mask at ones; see :class:`Denoiser`.

        One step is a single pass and does not depend on the noise; a few more add texture.
        """
        x, times = noise, scheduler.timesteps(steps)
        for t, previous in zip(times, [*times[1:], None], strict=True):
            timestep = torch.tensor([t], device=z_n.device)

            def predict(noisy: Tensor, ncct: Tensor, timestep: Tensor = timestep) -> Tensor:
                return self(noisy, ncct, timestep, phase, context=True)

            x0 = run(predict, scheduler.scale_input(x, timestep), z_n)
            x = scheduler.step(x0, x, t, previous)
        return x

    def _sinusoids(self, timestep: Tensor) -> Tensor:
        half = self.config.embedding // 2
        rate = torch.exp(-math.log(1e4) * torch.arange(half, device=timestep.device) / half)
        angle = timestep.float()[:, None] * rate
        return torch.cat([angle.sin(), angle.cos()], 1).to(self.conv_in.weight.dtype)
