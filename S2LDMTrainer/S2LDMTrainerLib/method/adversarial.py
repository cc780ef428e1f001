"""The patch discriminator of the autoencoder and its losses (L_adv).

MONAI's network and least-squares loss. Its norm is per instance: a batch norm would make a step depend on how the
batch is divided over processes. Thin crops are judged slice by slice.

Source: Isola et al., arXiv 1611.07004 (patch discriminator); Mao et al., arXiv 1611.04076 (least squares); used by the
VQ-GAN of Esser et al., arXiv 2012.09841, which arXiv 2406.13977 builds on.
"""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator as MonaiPatchDiscriminator
from torch import Tensor, nn

THICK = 16  # slices from which a crop is judged as a volume


class PatchDiscriminator(nn.Module):
    """Judges patches of normalised images [B, 1, Z, Y, X]; gives a logit for each."""

    def __init__(self, depth: int, channels: int, layers: int) -> None:
        super().__init__()
        self.volumetric = depth >= THICK
        self.network = MonaiPatchDiscriminator(
            spatial_dims=3 if self.volumetric else 2, channels=channels, in_channels=1, num_layers_d=layers,
            norm="INSTANCE",
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        if not self.volumetric:
            x = x.movedim(2, 1).flatten(0, 1)
        # In fp32: where a patch is all air, the norm's gradient is large, and in bf16 it became infinite.
        with torch.autocast(x.device.type, enabled=False):
            return self.network(x.float())[-1]


class AdversarialLoss:
    """The least-squares losses of generator and discriminator."""

    def __init__(self) -> None:
        self._loss = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)

    def generator(self, discriminator: nn.Module, fakes: Tensor) -> Tensor:
        """Measure how far the fakes are from being taken for real; the discriminator's weights get no gradient."""
        discriminator.requires_grad_(False)
        loss = self._loss(discriminator(fakes), target_is_real=True, for_discriminator=False)
        discriminator.requires_grad_(True)
        return loss

    def discriminator(self, discriminator: nn.Module, reals: Tensor, fakes: Tensor) -> Tensor:
        """Average the losses on real and fake images, in one pass, as distributed training asks for."""
        real, fake = discriminator(torch.cat([reals, fakes.detach()])).chunk(2)
        real_loss = self._loss(real, target_is_real=True, for_discriminator=True)
        return (real_loss + self._loss(fake, target_is_real=False, for_discriminator=True)) / 2
