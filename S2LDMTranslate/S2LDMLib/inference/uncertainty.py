"""Several samples of one translation: their mean, and how far they differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..networks.denoiser import LatentDenoiser
from ..progress import OnProgress, Progress

if TYPE_CHECKING:
    from ..pipeline import S2LDMPipeline


def check_samples(pipeline: S2LDMPipeline, count: int, steps: int | None) -> None:
    """Raises InputError where several samples would all be the same, or ``count`` is no number of samples."""
    steps = pipeline.scheduler.config.steps if steps is None else steps
    if count < 2:
        raise InputError(f"{count} samples have no spread. Use 2 or more.")
    if steps == 1 and isinstance(pipeline.denoiser, LatentDenoiser):
        raise InputError(
            "With one sampling step this model gives the same result for every seed, so samples have no spread. "
            "Use 2 or more steps."
        )


def translate_samples(
    pipeline: S2LDMPipeline, image: sitk.Image, phase: str, count: int, *, seed: int = 0,
    on_progress: OnProgress | None = None, **options: Any,
) -> tuple[sitk.Image, sitk.Image]:  # fmt: skip
    """Translate with the seeds ``seed`` to ``seed + count - 1``.

    Args:
        count: number of samples, 2 or more.
        options: as for :meth:`S2LDMPipeline.__call__ <S2LDMLib.pipeline.S2LDMPipeline.__call__>`.

    Returns:
        Mean and standard deviation (n - 1) per voxel, both int16 HU on the input's grid. The deviation tells how far
        the model's samples differ, not how far they are from the truth.

    Raises:
        InputError: see :func:`check_samples` and the pipeline.
    """
    check_samples(pipeline, count, options.get("steps"))
    mean = squares = None
    start = time.monotonic()
    for index in range(count):
        made = pipeline(
            image, phase, seed=seed + index, on_progress=_share(on_progress, index, count, start), **options
        )
        values = sitk.GetArrayFromImage(made).astype(np.float32)
        if mean is None:
            mean, squares = np.zeros_like(values), np.zeros_like(values)
        before = values - mean
        mean += before / (index + 1)
        squares += before * (values - mean)  # Welford 1962, Technometrics 4:419
    results = []
    for array, what in ((mean, "mean"), (np.sqrt(squares / (count - 1)), "standard deviation")):
        result = sitk.GetImageFromArray(np.rint(array).astype(np.int16))
        result.CopyInformation(made)
        for key in made.GetMetaDataKeys():
            result.SetMetaData(key, made.GetMetaData(key))
        result.SetMetaData("S2LDM_seed", str(seed))
        result.SetMetaData("S2LDM_samples", str(count))
        result.SetMetaData("description", f"{made.GetMetaData('description')}; {what} of {count} samples")
        results.append(result)
    return results[0], results[1]


def _share(on_progress: OnProgress | None, index: int, count: int, start: float) -> Callable[[Progress], None] | None:
    """Progress of one sample as a share of all."""
    if on_progress is None:
        return None

    def report(progress: Progress) -> None:
        fraction = (index + progress.fraction) / count
        elapsed = time.monotonic() - start
        remaining = elapsed / fraction * (1 - fraction) if fraction > 0.05 else None
        on_progress(Progress(progress.stage, fraction, remaining))

    return report
