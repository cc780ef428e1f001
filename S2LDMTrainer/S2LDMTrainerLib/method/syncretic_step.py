"""What the syncretic autoencoder is trained on: one encoder on NCCT and CECT, one decoder on both embeddings.

``L = L1(D(Q(z)), HF(x)) + w_vq L_vq + w_adv L_adv + w_sim L_sim`` for z = z_n and z = z_c, never for a fusion of both:
z_c does not exist at inference.

Source: arXiv 2406.13977; the formula is a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from torch import Tensor, nn

from ..recipe import AutoencoderTraining
from .high_frequency import high_frequency_target
from .similarity import adaptive_similarity_loss


@dataclass(frozen=True)
class SyncreticOutput:
    """The losses, and what the discriminator and the codebook learn from.

    Where both sides are there, NCCTs come first, then CECTs.

    Attributes:
        losses: scalars with gradient, by name.
        reals, fakes: targets and reconstructions [2 B or B, 1, Z, Y, X].
        raw: latents before standardisation [2 B or B, C, Z', Y', X'], without gradient.
    """

    losses: dict[str, Tensor]
    reals: Tensor
    fakes: Tensor
    raw: Tensor


class SyncreticStep(nn.Module):
    """Holds the autoencoder so that one ``forward`` does all of a step, as distributed training asks for."""

    def __init__(self, autoencoder: SyncreticAutoencoder, recipe: AutoencoderTraining) -> None:
        super().__init__()
        self.autoencoder, self.recipe = autoencoder, recipe

    def forward(self, x_n: Tensor, x_c: Tensor, valid: Tensor, quantised: bool) -> SyncreticOutput:
        """Compute one step's losses.

        Args:
            x_n, x_c: NCCT and registered CECT [B, 1, Z, Y, X], normalised.
            valid: as x_n, 1 where the pair is registered; only there may the NCCT be compared with the CECT.
            quantised: whether the codebook is in use already.
        """
        recipe, ae = self.recipe, self.autoencoder
        images, targets, weights = self._sides(x_n, x_c, valid)
        z = ae.encode(images)
        codes = ae.quantize(z).detach() if quantised else z
        y = ae.decode(z + (codes - z).detach())
        reals = high_frequency_target(targets, recipe.hf_amount, recipe.hf_sigma)
        losses = {"l1": ((y - reals).abs() * weights).mean()}
        if recipe.detail_weight:
            losses["detail"] = ((_detail(y) - _detail(reals)).abs() * weights).mean()
        if quantised:
            losses["vq"] = F.mse_loss(z, codes)
        if recipe.similarity_weight and recipe.syncretic:
            # A latent voxel counts only where all voxels below it are valid.
            inside = -F.max_pool3d(-valid, ae.stride)
            z_n, z_c = z.chunk(2)
            losses["similarity"] = adaptive_similarity_loss(z_n, z_c, recipe.gamma, inside)
        raw = (z * ae.latent_std + ae.latent_mean).detach()
        return SyncreticOutput(losses, reals, y, raw)

    def _sides(self, x_n: Tensor, x_c: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Choose the images to encode, what D is to make of them, and where that counts."""
        if not self.recipe.syncretic:
            return x_c, x_c, torch.ones_like(x_c)
        images = torch.cat([x_n, x_c])
        if self.recipe.target == "own":
            return images, images, torch.ones_like(images)
        return images, torch.cat([x_c, x_c]), torch.cat([valid, torch.ones_like(valid)])

    def weighted(self, losses: dict[str, Tensor]) -> Tensor:
        """Sum the losses with the recipe's weights."""
        recipe = self.recipe
        weights = {
            "l1": 1.0, "detail": recipe.detail_weight, "vq": recipe.vq_weight,
            "similarity": recipe.similarity_weight, "adversarial": recipe.adversarial_weight,
        }  # fmt: skip
        return sum((weights[name] * loss for name, loss in losses.items()), torch.zeros(()).to(losses["l1"]))


def _detail(x: Tensor) -> Tensor:
    """An image less its mean over 5 x 5 voxels of the plane."""
    return x - F.avg_pool3d(x, (1, 5, 5), 1, (0, 2, 2), count_include_pad=False)
