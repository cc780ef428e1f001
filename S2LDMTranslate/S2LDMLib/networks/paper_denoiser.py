"""The paper's denoiser: MONAI's DiffusionModelUNet over latents, predicting the noise; a labelled ablation.

Its GroupNorm and attention look at the whole field, so that it must run in windows of its training size.

Source: arXiv 2406.13977; Rombach et al., arXiv 2112.10752.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor

from ..errors import ModelError
from ..model.config import DenoiserConfig
from .denoisers import Denoiser, Run, Scheduler
from .triple import Triple


class PaperDenoiser(Denoiser):
    """``epsilon(x_t, t, phase)`` for x_t [B, C, Z, Y, X]; attention at the lowest level alone."""

    is_tileable = False

    def __init__(self, config: DenoiserConfig, latent_channels: int, phases: int) -> None:
        super().__init__(config)
        levels = len(config.channels)
        multiple = 2 ** (levels - 1)
        if config.window is None or any(n % multiple for n in config.window):
            raise ModelError(f"A paper denoiser needs a window whose sizes are multiples of {multiple} in its config.")
        self.window = config.window
        self.values_per_voxel = 2 * config.channels[0]
        groups = math.gcd(32, *config.channels)
        self.unet = DiffusionModelUNet(
            spatial_dims=3, in_channels=latent_channels, out_channels=latent_channels, num_res_blocks=2,
            channels=config.channels, attention_levels=[level == levels - 1 for level in range(levels)],
            norm_num_groups=groups, num_head_channels=groups, num_class_embeds=phases,
        )  # fmt: skip

    def reach(self) -> Triple:
        """The window (z, y, x) in latent voxels: about what a voxel's result depends on."""
        return self.window

    def forward(self, x: Tensor, timestep: Tensor, phase: Tensor) -> Tensor:
        """Predict the noise in x [B, C, Z, Y, X] at a timestep [B], for a phase [B]; the shape is that of x."""
        return self.unet(x, timestep, class_labels=phase)

    def sample(self, z_n: Tensor, phase: Tensor, scheduler: Scheduler, steps: int, noise: Tensor, run: Run) -> Tensor:
        """Predict the noise, beginning with the noised latent of the NCCT, without a condition; see :class:`Denoiser`.

        Source: arXiv 2406.13977; a reconstruction. It needs a schedule without zero terminal SNR.
        """
        times = scheduler.timesteps(steps)
        x = scheduler.add_noise(z_n, noise, torch.tensor([times[0]], device=z_n.device))
        for t, previous in zip(times, [*times[1:], None], strict=True):

            def predict(x_t: Tensor, t: int = t) -> Tensor:
                return self._in_windows(x_t, torch.tensor([t], device=x_t.device), phase)

            x = scheduler.step(run(predict, x), x, t, previous)
        return x

    def _in_windows(self, x: Tensor, timestep: Tensor, phase: Tensor) -> Tensor:
        """Predict in blended windows of the training size."""
        made = sliding_window_inference(
            x.clone(),  # MONAI's inferer may scale it in place
            self.window, 1, lambda part: self(part, timestep, phase), overlap=0.25, mode="gaussian",
        )  # fmt: skip
        return cast(Tensor, made)  # one network output makes one tensor
