"""Several samples of one translation: their mean, and how far they differ."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

from ..progress import OnProgress, Progress, remaining_s

Translate = Callable[[int, OnProgress | None], sitk.Image]


def mean_and_deviation(
    translate: Translate, count: int, seed: int, on_progress: OnProgress | None = None
) -> tuple[sitk.Image, sitk.Image]:
    """Translate with the seeds ``seed`` to ``seed + count - 1``.

    Args:
        translate: makes the sample of a seed, int16 HU, and reports its progress.
        count: number of samples, 2 or more.
        seed: of the first sample.
        on_progress: called with the progress of all samples together.

    Returns:
        Mean and standard deviation (n - 1) per voxel, both int16 HU on the samples' grid. The deviation tells how far
        the model's samples differ, not how far they are from the truth.
    """
    start = time.monotonic()
    for index in range(count):
        made = translate(seed + index, _share(on_progress, index, count, start))
        values = sitk.GetArrayFromImage(made).astype(np.float32)
        if index == 0:
            mean, squares = np.zeros_like(values), np.zeros_like(values)
        before = values - mean
        mean += before / (index + 1)
        squares += before * (values - mean)  # Welford 1962, Technometrics 4:419
    deviation = np.sqrt(squares / (count - 1))
    return _labelled(mean, made, seed, count, "mean"), _labelled(deviation, made, seed, count, "standard deviation")


def _labelled(values: np.ndarray, sample: sitk.Image, seed: int, count: int, what: str) -> sitk.Image:
    """A volume on the grid and with the header entries of a sample."""
    result = sitk.GetImageFromArray(np.rint(values).astype(np.int16))
    result.CopyInformation(sample)
    for key in sample.GetMetaDataKeys():
        result.SetMetaData(key, sample.GetMetaData(key))
    result.SetMetaData("S2LDM_seed", str(seed))
    result.SetMetaData("S2LDM_samples", str(count))
    result.SetMetaData("description", f"{sample.GetMetaData('description')}; {what} of {count} samples")
    return result


def _share(on_progress: OnProgress | None, index: int, count: int, start: float) -> OnProgress | None:
    """What turns the progress of one sample into that of all samples."""
    if on_progress is None:
        return None

    def report(progress: Progress) -> None:
        fraction = (index + progress.fraction) / count
        on_progress(Progress(progress.stage, fraction, remaining_s(time.monotonic() - start, fraction)))

    return report
