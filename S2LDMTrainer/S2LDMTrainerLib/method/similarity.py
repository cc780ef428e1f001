"""Similarity of the two embeddings: the adaptive similarity loss and the dynamic similarity mask of the paper.

The paper's formulas did not survive in any copy at hand; these readings satisfy every sentence of it and are marked
"reconstruction". Source: arXiv 2406.13977.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6


def similarity(z_n: Tensor, z_c: Tensor) -> Tensor:
    """``s = (1 + cos(z_n, z_c)) / 2`` per latent voxel, cosine over channels; reconstruction.

    It takes standardised latents [B, C, Z, Y, X] and gives [B, 1, Z, Y, X] in [0, 1].
    """
    return (1 + F.cosine_similarity(z_n, z_c, dim=1)[:, None]) / 2


def adaptive_similarity_loss(z_n: Tensor, z_c: Tensor, gamma: float = 2.0, valid: Tensor | None = None) -> Tensor:
    """``L_sim = mean(-(1 - s)^gamma * log(s + eps))``; reconstruction.

    A focal loss on the similarity: it falls monotonically in s to 0 at s = 1, and the more two embeddings differ the
    more they weigh. (``-(1 - cos)^gamma * cos`` would not do: its minimum is not at cos = 1.)

    Args:
        z_n, z_c: standardised latents [B, C, Z, Y, X].
        gamma: focus; 0 weighs all alike.
        valid: [B, 1, Z, Y, X], 1 where the pair is registered; None: everywhere.

    Returns:
        A scalar, at least 0.
    """
    s = similarity(z_n, z_c).clamp(0, 1)  # rounding can lift a cosine above 1
    loss = -((1 - s) ** gamma) * torch.log((s + EPSILON).clamp(max=1))
    return (loss if valid is None else loss * valid).mean()


def dynamic_similarity_mask(
    s: Tensor, progress: float, exponent: float = 2.0, formula: str = "structural_first"
) -> Tensor:
    """The mask M over the training, with w = (1 - u)^a; reconstruction.

    ``structural_first``: ``M = 1 - w (1 - s)``. High-similarity (structural) voxels dominate early, low-similarity
    (enhanced) ones catch up, and M ends at the mask of ones that inference uses. No gradient.

    ``literal``: ``M = w s + (1 - w) (1 - s)``, as the paper's words could be read too: from the similar to the
    dissimilar. It does not end at ones.

    Args:
        s: similarity [B, 1, Z, Y, X].
        progress: u = epoch / epochs, in [0, 1].
        exponent: a.
    """
    with torch.no_grad():
        w = (1 - min(max(progress, 0.0), 1.0)) ** exponent
        return w * s + (1 - w) * (1 - s) if formula == "literal" else 1 - w * (1 - s)
