"""Is a registered pair what it claims to be? A doubt keeps it out of training; the pictures and figures stay.

Limits lie far from what was measured on the six real pairs at hand (3 sessions of 2 patients, one vendor), because
sound pairs of another scanner, timing or patient must pass. So not every mistake is found: look at the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk
from S2LDMLib.volume.body import body_mask

from .registration import Quality

# Correct pairs: 0.81 to 0.88, and 0.73 or more with the CECT cut to a third of its length. An NCCT with the CECT of
# another patient: 0.15 and 0.31, with its own CECT upside down: 0.29; with one of another date: 0.77, moved by 49 mm.
LOWEST_BORDER_CORRELATION = 0.6
LARGEST_LOSS = 0.05  # of it; scans that fitted already lost 0.0002 to 0.011, the others gained 0.08 and more
LARGEST_DISPLACEMENT_MM = 40.0  # of the 95th percentile; correct pairs: 6 to 15, the wrong ones: 49 to 101
LARGEST_FOLDING = 0.005  # correct pairs: 0 to 0.0001; wrong patient or upside down: 0.003 to 0.058

LEAST_ENHANCEMENT_HU = 50.0  # of vessels; venous scans: 127 to 139 real, 150 and more in phantoms
SWAPPED = 2.0  # losses to gains of an NCCT given as CECT and the CECT as NCCT: 3 and more; of two NCCTs: 1
LARGEST_VENOUS_HU = 250.0  # of vessels; arterial scans: 216 to 337, venous ones up to 160

CORE_HU = (0.0, 110.0)  # soft tissue, by the smoothed NCCT
SMOOTHING_MM = 3.0
CORE_EROSION_MM = 3.0  # in the plane; an aorta must survive it
FEWEST_VOXELS = 200


@dataclass(frozen=True)
class Enhancement:
    """CECT minus NCCT in the core of soft tissue, both smoothed, HU.

    ``vessels``: the 99th percentile, which large arteries and kidneys make; ``losses``: the 1st; ``median``: the usual.
    """

    vessels: float
    median: float
    losses: float

    def to_dict(self) -> dict[str, float]:
        """Round the figures, for a JSON file."""
        return {f"enhancement_{name}_hu": round(value, 1) for name, value in asdict(self).items()}


def doubt_registration(phase: str, quality: Quality) -> str | None:
    """Say why a registration is not to be trusted, None if nothing speaks against it."""
    after, before = quality.border_correlation_after, quality.border_correlation_before
    if after < LOWEST_BORDER_CORRELATION:
        reason = f"borders of organs do not meet (correlation {after:.2f}, at least {LOWEST_BORDER_CORRELATION} wanted)"
    elif after < before - LARGEST_LOSS:
        reason = f"borders of organs meet less than before (correlation {before:.2f} -> {after:.2f})"
    elif quality.displacement_p95_mm > LARGEST_DISPLACEMENT_MM:
        reason = f"it moves organs by {quality.displacement_p95_mm:.0f} mm"
    elif quality.folding > LARGEST_FOLDING:
        reason = f"it folds {quality.folding:.1%} of the body"
    else:
        return None
    return f"{phase}: registration failed, {reason}"


def enhancement(ncct: sitk.Image, cect: sitk.Image, valid: sitk.Image) -> Enhancement | None:
    """Measure where ``valid``, all images on one grid; None where there is too little soft tissue to tell."""
    low, high = CORE_HU
    tissue = _smooth(ncct)
    radius = [round(CORE_EROSION_MM / spacing) for spacing in ncct.GetSpacing()[:2]]
    soft = sitk.BinaryErode(sitk.And(tissue > low, tissue < high), [*radius, 0])
    core = sitk.GetArrayFromImage(soft * body_mask(ncct) * valid) > 0
    if np.count_nonzero(core) < FEWEST_VOXELS:
        return None
    # Where the CECT ends there is air in it, which must not be smoothed into what was measured.
    change = sitk.GetArrayFromImage(_smooth((cect - ncct) * sitk.Cast(valid, cect.GetPixelID())))[core]
    losses, median, vessels = np.percentile(change, [1, 50, 99])
    return Enhancement(float(vessels), float(median), float(losses))


def _smooth(image: sitk.Image) -> sitk.Image:
    sigma = [max(SMOOTHING_MM, 0.5 * spacing) for spacing in image.GetSpacing()]
    return sitk.SmoothingRecursiveGaussian(sitk.Cast(image, sitk.sitkFloat32), sigma)


def doubt_enhancement(found: Mapping[str, Enhancement]) -> str | None:
    """Say why the phases are not what they are called, None if nothing speaks against it."""
    for phase, one in found.items():
        if one.vessels < LEAST_ENHANCEMENT_HU and -one.losses > SWAPPED * one.vessels:
            return f"{phase} is darker than the ncct ({one.losses:.0f} to {one.vessels:.0f} HU): they look swapped"
        if one.vessels < LEAST_ENHANCEMENT_HU:
            return f"{phase} shows no contrast medium (vessels {one.vessels:.0f} HU above the ncct)"
    venous, arterial = found.get("venous"), found.get("arterial")
    if venous and arterial and venous.vessels > arterial.vessels and venous.median < arterial.median:
        return (
            f"arterial and venous look swapped (vessels enhance by {arterial.vessels:.0f} HU arterial and "
            f"{venous.vessels:.0f} HU venous, other tissue by {arterial.median:.0f} and {venous.median:.0f} HU)"
        )
    if venous and venous.vessels > LARGEST_VENOUS_HU:
        return f"venous looks arterial (vessels enhance by {venous.vessels:.0f} HU)"
    return None
