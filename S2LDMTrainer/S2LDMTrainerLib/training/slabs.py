"""Training samples: random, augmented slabs of prepared cases, each a function of the seed and its own number alone.

Since no sample depends on those before it, a resumed run goes on exactly where the killed one was, and the samples of
a step are the same however many processes share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PreprocessConfig
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..data import Case
from ..recipe import DataRecipe
from .augment import AIR, Slab, augment

BODY_HU = -200
TRIES = 8
LEAST_BODY = 0.3  # of a crop's middle slice


@dataclass(frozen=True)
class Cut:
    """What is cut out of a volume.

    Attributes:
        depth: slices without their context.
        plane: voxels (y, x).
        context: slices that come in addition on both sides.
        overhang: the context may reach beyond an end of the volume; it is then shorter (``Slab.ends``).
    """

    depth: int
    plane: tuple[int, int]
    context: int = 0
    overhang: bool = True

    @property
    def needed(self) -> int:
        """How many slices a volume must have."""
        return self.depth + (0 if self.overhang else 2 * self.context)


class SlabDataset(Dataset[Slab]):
    """Gives sample number n, for any n: a slab of all ``phases``; a phase that the case lacks is nowhere valid.

    Args:
        cases: to draw from, with the shares of their kinds; a long volume is drawn more often.
        single: slabs of one phase, which the case has; cases without an NCCT take part too, and their NCCT is the CECT
            itself. For the autoencoder.
        seed: any numbers; the samples are a function of them.
    """

    def __init__(
        self, cases: Sequence[Case], phases: Sequence[str], recipe: DataRecipe, cut: Cut, augmentation: str,
        seed: tuple[int, ...], single: bool = False,
    ) -> None:  # fmt: skip
        usable = [c for c in cases if set(c.phases) & set(phases) or (single and c.kind == "cect")]
        slices = {kind: sum(c.shape[0] for c in usable if c.kind == kind) for kind in recipe.share}
        weights = np.array([recipe.share.get(c.kind, 0) * c.shape[0] / slices.get(c.kind, 1) for c in usable])
        if not weights.sum():
            raise InputError(
                f"No case with {' or '.join(phases)} is there to train on. Prepare some, or change the phases."
            )
        self.cases = [case for case, weight in zip(usable, weights, strict=True) if weight]
        self.weights = weights[weights > 0] / weights.sum()
        self.phases, self.cut, self.augmentation, self.single = tuple(phases), cut, augmentation, single
        self.seed = seed
        for case in self.cases:
            _check_size(case, cut)

    def __getitem__(self, number: int) -> Slab:
        rng = np.random.default_rng((*self.seed, number))
        case = self.cases[rng.choice(len(self.cases), p=self.weights)]
        return augment(self._cut(case, rng), self.augmentation, rng)

    def _cut(self, case: Case, rng: np.random.Generator) -> Slab:
        first, last, ends, y, x = self._place(case, rng)

        def fitted(volume: np.ndarray, fill: float) -> Tensor:
            return torch.from_numpy(_fit(volume[first:last], self.cut.plane, (y, x), fill))

        ncct = fitted(case.volume(case.images()[0]), AIR)
        if not case.phases:
            return Slab(ncct, ncct[None], torch.ones_like(ncct)[None], ends)
        phases = self.phases
        if self.single:
            own = [phase for phase in phases if phase in case.phases]
            phases = (own[rng.integers(len(own))],)
        there = [phase in case.phases for phase in phases]
        cect = [fitted(case.volume(p), AIR) if has else ncct for p, has in zip(phases, there, strict=True)]
        valid = [
            fitted(case.valid(p), 0) if has else torch.zeros_like(ncct) for p, has in zip(phases, there, strict=True)
        ]
        return Slab(ncct, torch.stack(cect), torch.stack(valid), ends)

    def _place(self, case: Case, rng: np.random.Generator) -> tuple[int, int, tuple[int, int], int, int]:
        """Draw first and last slice, missing ends, and the plane's start, negative where air has to be put around."""
        volume, context = case.volume(case.images()[0]), self.cut.context
        depth, slices = self.cut.depth + 2 * context, case.shape[0]
        beyond = context if self.cut.overhang else 0
        for _ in range(TRIES):
            start = int(rng.integers(-beyond, slices - depth + beyond + 1))
            first, last = max(0, start), min(slices, start + depth)
            y, x = (_start(n, size, rng) for n, size in zip(case.shape[1:], self.cut.plane, strict=True))
            middle = volume[(first + last) // 2, max(0, y) :, max(0, x) :][: self.cut.plane[0], : self.cut.plane[1]]
            if (middle > BODY_HU).sum() >= LEAST_BODY * min(middle.size, self.cut.plane[0] * self.cut.plane[1]):
                break
        return first, last, (first - start, start + depth - last), y, x


def _start(n: int, size: int, rng: np.random.Generator) -> int:
    """Draw a random start where the volume is larger than the crop, a centred one where it is smaller."""
    return int(rng.integers(n - size + 1)) if n > size else -((size - n) // 2)


def _fit(part: np.ndarray, plane: tuple[int, int], start: tuple[int, int], fill: float) -> np.ndarray:
    """Cut or pad a slab (Z, Y, X) to the plane, in fp32."""
    y, x = (slice(max(0, s), max(0, s) + n) for s, n in zip(start, plane, strict=True))
    part = part[:, y, x].astype(np.float32)
    before = [max(0, -s) for s in start]
    width = [(b, n - b - have) for b, n, have in zip(before, plane, part.shape[1:], strict=True)]
    return np.pad(part, [(0, 0), *width], constant_values=fill)


def _check_size(case: Case, cut: Cut) -> None:
    if case.shape[0] < cut.needed:
        raise InputError(
            f"{case.name} has {case.shape[0]} slices, less than the crop of {cut.needed}. Lower the crop with --set, "
            "leave the case out, or prepare at a finer --spacing."
        )


def check_spacing(case: Case, preprocess: PreprocessConfig) -> None:
    """Refuse a case that inference would resample: the model would be trained at another spacing than it works at."""
    works_at = preprocess.spacing or case.spacing
    for own, wanted in zip(case.spacing, works_at, strict=True):
        if abs(own / wanted - 1) > preprocess.spacing_tolerance:
            spacing = " ".join(f"{value:g}" for value in works_at)
            raise InputError(
                f"{case.name} has voxels of {' x '.join(f'{value:.2f}' for value in case.spacing)} mm, and the model "
                f"works at {spacing.replace(' ', ' x ')} mm. Prepare the data again with --spacing {spacing}."
            )


def slab_batches(dataset: SlabDataset, slots: range, batch: int, start: int, workers: int) -> Iterator[list[Slab]]:
    """Give endless batches from number ``start`` on: batch n holds the samples n * batch + slot of the slots given."""

    class Numbers(torch.utils.data.Sampler[list[int]]):
        def __iter__(self) -> Iterator[list[int]]:
            n = start
            while True:
                yield [n * batch + slot for slot in slots]
                n += 1

    loader = DataLoader(
        dataset, batch_sampler=Numbers(), collate_fn=_as_list, num_workers=workers, persistent_workers=workers > 0
    )
    return iter(loader)


def _as_list(slabs: list[Slab]) -> list[Slab]:
    return slabs
