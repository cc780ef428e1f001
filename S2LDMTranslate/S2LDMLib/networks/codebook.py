"""Vector quantisation of latents (Q in the paper), in bounded memory.

MONAI's EMAQuantizer builds the full distance and one-hot matrices even in evaluation: 6.6 GB for a 64x64x12 latent
and 8192 codes. This gives the same indices chunk by chunk.

Source: van den Oord et al., arXiv 1711.00937, eq. 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHUNK = 1 << 14


class Codebook(nn.Module):
    """K vectors of C channels; a latent voxel becomes the nearest of them in Euclidean distance."""

    embedding: Tensor

    def __init__(self, num_embeddings: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("embedding", torch.randn(num_embeddings, channels))

    @torch.no_grad()
    def indices(self, z: Tensor) -> Tensor:
        """The index of the nearest entry for each voxel: latents [B, C, Z, Y, X] to [B, Z, Y, X]."""
        return self.nearest(z.movedim(1, -1).reshape(-1, z.shape[1])).view(z.shape[0], *z.shape[2:])

    @torch.no_grad()
    def nearest(self, vectors: Tensor) -> Tensor:
        """The index of the nearest entry for each vector: [N, C] to [N].

        It is computed in fp32 under any autocast: bf16 would change 3 % of the codes.
        """
        codes = self.embedding.float()
        norm = codes.square().sum(1)
        with torch.autocast(vectors.device.type, enabled=False):
            found = [torch.addmm(norm, part, codes.T, alpha=-2).argmin(1) for part in vectors.float().split(CHUNK)]
        return torch.cat(found)

    def forward(self, z: Tensor) -> Tensor:
        """Replace each voxel of latents [B, C, Z, Y, X] by its nearest entry; the shape stays, in fp32."""
        return self.embedding.float()[self.indices(z)].movedim(-1, 1)
