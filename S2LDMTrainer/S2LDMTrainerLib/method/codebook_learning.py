"""Learning of the codebook by moving averages, in bounded memory and over several processes.

Quantised from the start the codebook collapsed (perplexity 3); with 40 % of the training unquantised and codes then
drawn from the encoder's outputs, 393 of 512 were in use. Codes that nothing chooses any more are drawn again.

Source: van den Oord et al., arXiv 1711.00937, appendix A.1 (moving averages); Williams et al., arXiv 2002.08111
(drawing dead codes again).
"""

from __future__ import annotations

import numpy as np
import torch
from accelerate import Accelerator
from S2LDMLib.networks.codebook import Codebook
from torch import Tensor, nn

DEAD_PART = 0.01  # of the average count: a code below it is drawn again
OFFERED = 4096  # latent voxels of a step that codes are drawn from


class CodebookLearner(nn.Module):
    """Keeps the running count and sum of each code's latents; its buffers belong to the checkpoint."""

    counts: Tensor
    sums: Tensor
    started: Tensor

    def __init__(self, codebook: Codebook, decay: float, seed: int) -> None:
        super().__init__()
        k, c = codebook.embedding.shape
        self.decay, self.seed = decay, seed
        self.register_buffer("counts", torch.ones(k))
        self.register_buffer("sums", torch.zeros(k, c))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def update(self, codebook: Codebook, raw: Tensor, slots: range, step: int, accelerator: Accelerator) -> None:
        """Move the codes towards the latents that chose them. A collective call.

        Args:
            codebook: changed in place.
            raw: latents [B, N, C] of this process, not standardised: N voxels of each of its samples.
            slots: numbers of these samples in the batch of all processes.
            step: seeds the drawing.
        """
        latents = raw.flatten(0, 1)
        rng = np.random.default_rng((self.seed, step))
        if not self.started:
            self._start(codebook, self._offered(raw, slots, step, accelerator), rng)
        k = len(codebook.embedding)
        indices = codebook.nearest(latents)
        counts = torch.bincount(indices, minlength=k).float()
        sums = torch.zeros_like(self.sums).index_add_(0, indices, latents)
        self.counts.lerp_(accelerator.reduce(counts, "sum"), 1 - self.decay)
        self.sums.lerp_(accelerator.reduce(sums, "sum"), 1 - self.decay)
        dead = self.counts < DEAD_PART * self.counts.mean()
        if dead.any():
            self._draw(dead, self._offered(raw, slots, step, accelerator), rng)
        codebook.embedding.copy_(self.sums / self.counts[:, None])

    def _start(self, codebook: Codebook, offered: Tensor, rng: np.random.Generator) -> None:
        self._draw(torch.ones_like(self.counts, dtype=torch.bool), offered, rng)
        codebook.embedding.copy_(self.sums / self.counts[:, None])
        self.started.fill_(True)

    def _draw(self, which: Tensor, offered: Tensor, rng: np.random.Generator) -> None:
        """Put encoder outputs in the place of codes, a little apart from each other."""
        count = int(which.sum())
        chosen = offered[torch.from_numpy(rng.integers(len(offered), size=count)).to(offered.device)]
        apart = torch.from_numpy(rng.standard_normal((count, offered.shape[1]), dtype=np.float32)).to(offered.device)
        mean = self.counts.mean().clamp_min(1e-3)
        self.counts[which] = mean
        self.sums[which] = (chosen + 0.01 * offered.std() * apart) * mean

    def _offered(self, raw: Tensor, slots: range, step: int, accelerator: Accelerator) -> Tensor:
        """Pick latents of every sample, the same on all processes and however many there are. A collective call."""
        each = -(-OFFERED // (len(slots) * accelerator.num_processes))
        picked = [
            sample[torch.from_numpy(np.random.default_rng((self.seed, step, slot)).integers(len(sample), size=each))]
            for slot, sample in zip(slots, raw, strict=True)
        ]
        return accelerator.gather(torch.cat(picked))


@torch.no_grad()
def codebook_usage(codebook: Codebook, raw: Tensor) -> dict[str, float]:
    """Count how many codes latents [B, C, Z, Y, X] use; perplexity is exp(entropy), 1 a collapsed codebook."""
    counts = torch.bincount(codebook.indices(raw).reshape(-1), minlength=len(codebook.embedding)).double()
    p = counts / counts.sum()
    return {"codes_used": float((counts > 0).sum()), "perplexity": float(torch.exp(torch.special.entr(p).sum()))}
