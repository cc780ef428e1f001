"""Similarity of the two embeddings, and the dynamic similarity mask of the paper.

The paper's formulas did not survive in any copy at hand; these readings satisfy every sentence of it and are marked
"reconstruction". Source: arXiv 2406.13977.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def similarity(z_n: Tensor, z_c: Tensor) -> Tensor:
    """``s = (1 + cos(z_n, z_c)) / 2`` per latent voxel, cosine over channels; reconstruction.

    Standardised latents [B, C, Z, Y, X] to [B, 1, Z, Y, X] in [0, 1].
    """
    return (1 + F.cosine_similarity(z_n, z_c, dim=1)[:, None]) / 2


def dynamic_similarity_mask(s: Tensor, progress: float, exponent: float = 2.0) -> Tensor:
    """``M = 1 - (1 - u)^a (1 - s)``; reconstruction.

    High-similarity (structural) voxels dominate early, low-similarity (enhanced) ones catch up, and M ends at the
    mask of ones that inference uses. No gradient.

    Args:
        s: similarity [B, 1, Z, Y, X].
        progress: u = epoch / epochs, in [0, 1].
        exponent: a.
    """
    with torch.no_grad():
        return 1 - (1 - min(max(progress, 0.0), 1.0)) ** exponent * (1 - s)
