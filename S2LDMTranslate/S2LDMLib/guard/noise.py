"""How noisy a scan is: the standard deviation within small blocks of homogeneous soft tissue, in HU.

Of all blocks with a mean of soft tissue, a low percentile is taken: those without edges, vessels or texture. It is
told on the scan's own grid, as a radiologist sees it, and after averaging to the model's working spacing, as the model
sees it; only the latter has a limit. A thin-slice scan may be noisy on its own grid and fine after averaging.

Measured: 3.8 to 13 HU at the working spacing on the 23 volumes of 8 patients at hand. White noise of 20 and 40 HU added
to 9 of them is read as 19 to 20 and 35 to 37 HU, correlated noise lower still: compare with the limit alone.

The limit is where the bundled model of version 0.1.0 begins to miss contrast. Noise was added to the body of real NCCTs
of two patients (HCC_005_19990123 / HCC_007_19980314, 1.4 to 1.6 x 5 mm; ``Testing/benchmarks/noise.py``): enhancement
in HU, and how much of the soft tissue differs by more than 40 HU from the result without added noise:

=========  =======  ==============  ==============  =============  ============  ===========
noise      read as  aorta arterial  liver arterial  arterial > 40  liver venous  venous > 40
=========  =======  ==============  ==============  =============  ============  ===========
0          6 / 4    313 / 220       23 / 36         0 %            62 / 66       0 %
white 10   11 / 10  312 / 210       20 / 29         0.6 / 0.6 %    61 / 65       0.0 / 0.0 %
white 20   19 / 19  312 / 193       14 / 18         3.7 / 6.6 %    58 / 64       1.0 / 0.6 %
white 30   27 / 28  312 / 170       9 / 11          6.0 / 13 %     49 / 43       8.9 / 6.2 %
white 40   35 / 36  312 / 136       6 / 7           7.7 / 17 %     37 / 15       24 / 21 %
white 80   68 / 70  310 / 33        3 / 6           12 / 23 %      5 / 7         53 / 47 %
coarse 20  15 / 16  305 / 189       8 / 12          5.6 / 11 %     49 / 53       3.9 / 2.6 %
coarse 40  27 / 29  274 / 82        2 / 6           10 / 21 %      6 / 7         46 / 37 %
=========  =======  ==============  ==============  =============  ============  ===========

(coarse: correlated over 1 pixel, as a smooth kernel leaves it.) Muscle and fat change by at most 7 HU in all rows.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..volume.grid import lps_axes
from .coarse_scan import CoarseScan

NOISE_LIMIT_HU = 15.0  # of what is read, see the table

_BLOCK_MM = 9.0
_SMALLEST_BLOCK = 4  # voxels a side: below it, the spread of 16 values says little
_SOFT_HU = (0.0, 250.0)  # mean of a block: soft tissue without and with contrast
_FEWEST_BLOCKS = 50
_PERCENTILE = 10
_SAMPLE_MM = 10.0  # between the slices that are looked at on the scan's own grid


def noise_for_model(scan: CoarseScan) -> float | None:
    """The noise's SD in HU at the working spacing; None where there is too little soft tissue to measure it."""
    return _block_sd(scan.hu, scan.spacing[:2])


def noise_of_scan(image: sitk.Image) -> float | None:
    """The noise's SD in HU on the scan's own grid, in slices 10 mm apart; None where soft tissue is too little.

    Args:
        image: 3D scalar volume in HU, any axis order.
    """
    x, y, z = lps_axes(image)
    step = max(1, round(_SAMPLE_MM / image.GetSpacing()[z]))
    voxels = sitk.GetArrayViewFromImage(image).transpose(2 - z, 2 - y, 2 - x)  # array axes run backwards
    sample = voxels[step // 2 % len(voxels) :: step].astype(np.float32)
    return _block_sd(sample, (image.GetSpacing()[x], image.GetSpacing()[y]))


def _block_sd(hu: np.ndarray, spacing: tuple[float, ...]) -> float | None:
    """The low percentile of all blocks' SD; ``hu`` is (z, y, x), ``spacing`` is x, y in mm."""
    width, height = (max(_SMALLEST_BLOCK, round(_BLOCK_MM / step)) for step in spacing)
    rows, columns = hu.shape[1] // height, hu.shape[2] // width
    blocks = hu[:, : rows * height, : columns * width].reshape(len(hu), rows, height, columns, width)
    mean = blocks.mean(axis=(2, 4))
    soft = (mean > _SOFT_HU[0]) & (mean < _SOFT_HU[1])
    if np.count_nonzero(soft) < _FEWEST_BLOCKS:
        return None
    return float(np.percentile(blocks.transpose(0, 1, 3, 2, 4)[soft].std(axis=(1, 2), ddof=1), _PERCENTILE))
