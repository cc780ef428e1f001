"""The paper's denoiser: MONAI's DiffusionModelUNet over latents, predicting the noise; a labelled ablation.

Its GroupNorm and attention look at the whole field, so that it must run in windows of its training size.

Source: arXiv 2406.13977; Rombach et al., arXiv 2112.10752.
"""

from __future__ import annotations

import math

from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn

from ..errors import ModelError
from ..model.config import DenoiserConfig


class PaperDenoiser(nn.Module):
    """``epsilon(x_t, t, phase)`` for x_t [B, C, Z, Y, X]; attention at the lowest level alone."""

    def __init__(self, config: DenoiserConfig, latent_channels: int, phases: int) -> None:
        super().__init__()
        levels = len(config.channels)
        multiple = 2 ** (levels - 1)
        if config.window is None or any(n % multiple for n in config.window):
            raise ModelError(f"A paper denoiser needs a window whose sizes are multiples of {multiple} in its config.")
        self.config, self.window = config, config.window
        groups = math.gcd(32, *config.channels)
        self.unet = DiffusionModelUNet(
            spatial_dims=3, in_channels=latent_channels, out_channels=latent_channels, num_res_blocks=2,
            channels=config.channels, attention_levels=[level == levels - 1 for level in range(levels)],
            norm_num_groups=groups, num_head_channels=groups, num_class_embeds=phases,
        )  # fmt: skip

    def forward(self, x: Tensor, timestep: Tensor, phase: Tensor) -> Tensor:
        return self.unet(x, timestep, class_labels=phase)
