"""The scores of a synthetic CECT against the registered real one: functions of arrays, HU, and of masks.

PSNR, SSIM, NMAE and NMSE are taken at W400/L0, as in the paper: both images are clipped to [-200, 200] HU and
measured from its lower end, so that they lie in [0, 400]. Errors in HU are taken on the unclipped images. Every score
is NaN where its mask is empty.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from monai.metrics.regression import PSNRMetric, compute_ssim_and_cs
from numpy.typing import NDArray

LOW_HU, RANGE_HU = -200.0, 400.0  # W400/L0
SSIM_KERNEL, SSIM_SIGMA = 11, 1.5
SSIM_BORDER = SSIM_KERNEL // 2
SSIM_PLANES = 16  # at once; bounds the memory

Volume = NDArray[np.floating] | NDArray[np.integer]
Mask = NDArray[np.bool_]


def windowed(hu: Volume) -> NDArray[np.float32]:
    """Map HU to W400/L0: 0 at and below -200 HU, 400 at and above 200 HU."""
    return np.clip(np.asarray(hu, np.float32) - LOW_HU, 0, RANGE_HU)


def psnr(made: Volume, real: Volume, mask: Mask) -> float:
    """Peak signal-to-noise ratio at W400/L0 over the mask, dB: ``20 log10(400) - 10 log10(mean((made - real)^2))``.

    It is infinite for equal images, and computed by MONAI's PSNRMetric.
    """
    if not mask.any():
        return math.nan
    pair = [torch.from_numpy(windowed(image[mask]).astype(np.float64))[None] for image in (made, real)]
    return float(torch.as_tensor(PSNRMetric(max_val=RANGE_HU, reduction="none")(*pair)))


def ssim_map(made: Volume, real: Volume) -> NDArray[np.float32]:
    """Structural similarity at W400/L0 of every voxel, slice by slice, same shape (Z, Y, X) as the images.

    Axial slices are taken one by one, because they are three times as far apart as pixels. The Gaussian window is
    11 x 11 with a sigma of 1.5 pixels; k1 = 0.01, k2 = 0.03, and the data range is 400 HU. A frame of 5 pixels, where
    the window would leave the slice, is NaN. MONAI's compute_ssim_and_cs works in single precision, which is right to
    about 5e-4 where both images are constant.

    Source: Wang et al., IEEE TIP 2004;13:600-12.
    """
    similarity = np.full(made.shape, np.nan, np.float32)
    if min(made.shape[1:]) < SSIM_KERNEL:
        return similarity
    inner = slice(SSIM_BORDER, -SSIM_BORDER)
    for start in range(0, len(made), SSIM_PLANES):
        part = slice(start, start + SSIM_PLANES)
        synthetic, true = (torch.from_numpy(windowed(image[part]) / RANGE_HU)[:, None] for image in (made, real))
        values, _ = compute_ssim_and_cs(
            synthetic, true, spatial_dims=2, kernel_size=(SSIM_KERNEL,) * 2, kernel_sigma=(SSIM_SIGMA,) * 2,
            data_range=1.0,
        )  # fmt: skip
        similarity[part, inner, inner] = values[:, 0].numpy()
    return similarity


def mean_over(values: Volume, mask: Mask) -> float:
    """Average over those voxels of the mask that have a value."""
    inside = values[mask]
    return _mean(inside[np.isfinite(inside)])


def nmae(made: Volume, real: Volume, mask: Mask) -> float:
    """Normalised mean absolute error at W400/L0: ``sum |made - real| / sum |real|`` over the mask, -200 HU as 0."""
    return _normalised(made, real, mask, power=1)


def nmse(made: Volume, real: Volume, mask: Mask) -> float:
    """Normalised mean squared error at W400/L0: ``sum (made - real)^2 / sum real^2`` over the mask, -200 HU as 0.

    The paper does not say from where it measures; with -200 HU as 0, air counts as nothing.
    """
    return _normalised(made, real, mask, power=2)


def _normalised(made: Volume, real: Volume, mask: Mask, power: int) -> float:
    true = windowed(real[mask]).astype(np.float64)
    error = np.abs(windowed(made[mask]) - true) ** power
    size = (true**power).sum()
    return float(error.sum() / size) if size > 0 else math.nan


def mae(made: Volume, real: Volume, mask: Mask) -> float:
    """Mean absolute error over the mask, HU, unclipped: ``mean |made - real|``."""
    return _mean(np.abs(_difference(made, real, mask)))


def bias(made: Volume, real: Volume, mask: Mask) -> float:
    """Mean error over the mask, HU, unclipped: ``mean(made - real)``; positive where the synthetic one is brighter."""
    return _mean(_difference(made, real, mask))


def means_by_label(values: Volume, labels: NDArray[np.integer]) -> dict[int, float]:
    """Average the values over the voxels of each label, all labels in one pass; 0 is no label."""
    inside = labels > 0
    counts = np.bincount(labels[inside])
    totals = np.bincount(labels[inside], weights=values[inside])
    return {int(label): float(totals[label] / counts[label]) for label in np.flatnonzero(counts)}


def _mean(values: Volume) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else math.nan


def _difference(made: Volume, real: Volume, mask: Mask) -> NDArray[np.float64]:
    return made[mask].astype(np.float64) - real[mask]
