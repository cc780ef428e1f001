"""The high-frequency-enhanced target HF of the autoencoder: an unsharp mask.

Source: arXiv 2406.13977; the filter is a reconstruction. Scores are always against the image itself, never against HF.
"""

from __future__ import annotations

import torch
from monai.networks.layers import gaussian_1d, separable_filtering
from torch import Tensor


def high_frequency_target(x: Tensor, amount: float, sigma: float) -> Tensor:
    """``HF(x) = x + a (x - G_sigma * x)``, slice by slice, since slices are thick; reconstruction.

    Flat regions stay as they are. So does the mean wherever the border is flat: the border is extended by its last
    voxel, so that a crop gets no rim.

    Args:
        x: image [B, 1, Z, Y, X], normalised.
        amount: a; 0 returns x.
        sigma: of the Gaussian G, in voxels.
    """
    if amount == 0:
        return x
    kernel = gaussian_1d(torch.tensor(sigma, device=x.device), truncated=3.0)
    kernel = kernel / kernel.sum()  # MONAI's sums to 0.9995, which would move the mean
    planes = x[:, 0].float()  # [B, Z, Y, X]: a slice is a channel of a 2D filter
    smooth = separable_filtering(planes, [kernel, kernel], mode="replicate")[:, None].to(x.dtype)
    return x + amount * (x - smooth)
