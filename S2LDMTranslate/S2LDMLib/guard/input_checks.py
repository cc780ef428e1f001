"""Is this volume a CT in HU that can be translated, and one that the model can judge? Asked before any heavy work.

What is no CT of a patient in HU is refused; what is unlike the scans that the model learned from is measured, compared
with a limit and warned of.

Spacing: the bundled model works on 1.5 x 1.5 x 5 mm and learned from pixels of 1.3 to 1.6 mm (one anatomy of 3 mm) and
slices of 2.5 to 5 mm, of which one patient's were acquired at 10 mm; the limits lie at the edge of that. They are on
the safe side: after averaging HCC_005_19990123, an NCCT of 1.64 x 1.64 x 5 mm, the model of version 0.1.0 gave for soft
tissue an enhancement that differed from the averaged one by 2.7 HU in the mean with slices of 10 mm, 5.6 HU with 20 mm,
8.2 HU with pixels of 3.3 mm and 9.4 HU with 4.9 mm (arterial; venous 1.8, 3.1, 3.5 and 3.4 HU).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..volume.grid import lps_axes
from .body_part import LARGEST_ELSEWHERE_MM, SMALLEST_PART, BodyPart, body_part
from .coarse_scan import CELL_MM, LONG_CELL_MM, CoarseScan, coarse_scan
from .contrast import ENHANCED_LENGTH_MM, length_limit, vessel_length
from .input_report import InputReport, Score
from .noise import NOISE_LIMIT_HU, noise_for_model, noise_of_scan

_SPACING_MM = (0.1, 20.0)  # outside it, a unit or a header is wrong
_LARGEST_PIXEL_MM = 5.0
_COARSE_PIXEL_MM = 2.0
_THICK_SLICE_MM = 10.0
_CUT_OUTLINE_MM = 20.0  # mean length of skin line a slice that lies on the border of the field of view
_UNKNOWN_PART_MM = 100.0  # of it: half a trunk, or one shoulder
_LARGEST_HU = 1e5
_PADDING_HU = -1100  # below it: outside the reconstruction circle (-2000, -3024)
_FAT_HU = -80  # any part of a patient holds fat or air
_OFFSET = 1024  # of stored CT values without their rescale
_OFFSET_SOFT = (_OFFSET - 150, _OFFSET + 200)  # soft tissue and fat in stored values
_HIGHEST_AIR_HU = -900
_FILLED_EDGE_PART = 0.1  # of the border of all slices; of 24 real scans 0.016 at most, the patient cut off or not
_FILLED_PART = 0.02
_CLIPPED_PART = 0.1  # of all voxels at the very minimum, above the body threshold


@dataclass(frozen=True)
class _Values:
    """The lowest and highest value without padding, and the parts of all voxels that tell of a wrong scale."""

    low: float
    high: float
    soft_if_stored: float  # within _OFFSET_SOFT
    at_low: float


def check_input(image: sitk.Image, min_size: tuple[int, int, int]) -> InputReport:
    """Check shape, spacing, values and content: about a second and little memory (no second volume is made).

    Args:
        image: the volume to translate, to be in HU.
        min_size: smallest size in voxels that the model takes (x, y, z in LPS axis order).

    Raises:
        InputError: it is no 3D scalar volume, too small, not in HU, holds NaN or no body, or its spacing is absurd.
    """
    _check_kind(image)
    axes = lps_axes(image)  # the third is the patient's long axis, however the scan is stored
    spacing = tuple(image.GetSpacing()[axis] for axis in axes)
    _check_size(tuple(image.GetSize()[axis] for axis in axes), min_size)
    _check_spacing(spacing)
    _check_values(_values(image))
    _check_filled(image)
    scan = coarse_scan(image)
    if not scan.body.any():
        raise InputError("No body was found (nothing above -300 HU is large enough). Give a CT of a patient, in HU.")
    return _judge(image, scan, spacing)


def _judge(image: sitk.Image, scan: CoarseScan, spacing: tuple[float, ...]) -> InputReport:
    """Measure and compare; ``spacing`` is the image's in mm, x, y, z in LPS axis order."""
    vessel, limit, part = vessel_length(scan), length_limit(scan), body_part(scan)
    noise, cut = noise_for_model(scan), float(scan.cut_mm()[scan.body.any(axis=(1, 2))].mean())
    is_short, enhanced = limit < ENHANCED_LENGTH_MM, vessel > limit
    found = (
        _enhanced(vessel, scan.length_mm, is_short) if enhanced else None, _elsewhere(part), _noisy(noise),
        _thick(spacing), _coarse(spacing), _cut(cut),
    )  # fmt: skip
    scores = (
        Score("enhanced_vessel_mm", vessel, limit),
        Score("abdomen_mm", part.abdomen_mm),
        Score("abdomen_part", part.abdomen_part, SMALLEST_PART, at_least=True),
        Score("elsewhere_mm", part.elsewhere_mm, LARGEST_ELSEWHERE_MM),
        Score("noise_hu", noise, NOISE_LIMIT_HU),
        Score("noise_on_own_grid_hu", noise_of_scan(image)),
        Score("slice_mm", spacing[2], _THICK_SLICE_MM),
        Score("pixel_mm", max(spacing[:2]), _COARSE_PIXEL_MM),
        Score("cut_outline_mm", cut, _CUT_OUTLINE_MM),
    )
    notes = _notes(scan, is_short and not enhanced, noise, cut > _UNKNOWN_PART_MM and part.is_abdomen)
    return InputReport(tuple(filter(None, found)), enhanced, notes, scores)


def _check_kind(image: sitk.Image) -> None:
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("The volume has several values a voxel. Give a CT with one value a voxel.")
    if image.GetDimension() != 3:
        raise InputError(f"The volume has {image.GetDimension()} dimensions. Give one 3D volume.")
    if 0 in image.GetSize():
        raise InputError("The volume is empty. Give a CT volume with voxels in it.")


def _check_size(size: tuple[int, ...], min_size: tuple[int, int, int]) -> None:
    if any(have < need for have, need in zip(size, min_size, strict=True)):
        raise InputError(
            f"The volume is too small: {_times(size)} voxels, and the model needs at least {_times(min_size)}. "
            "Give a larger part of the scan."
        )


def _check_spacing(spacing: tuple[float, ...]) -> None:
    low, high = _SPACING_MM
    # Written so that NaN fails too.
    if not all(low <= step <= high for step in spacing) or max(spacing[:2]) > _LARGEST_PIXEL_MM:
        raise InputError(
            f"A voxel of {_times(spacing)} mm cannot be right (pixels {low:g} to {_LARGEST_PIXEL_MM:g} mm, slices to "
            f"{high:g} mm). Correct the spacing of the volume."
        )


def _check_values(values: _Values) -> None:
    low, high = values.low, values.high
    span = f"values from {low:g} to {high:g}"
    if low == high:
        raise InputError(f"The volume is constant: every voxel is {low:g}. Give a CT with content.")
    if max(-low, high) > _LARGEST_HU:
        raise InputError(f"The volume is not in HU: {span}. Give a CT in HU.")
    if low >= -1.5 and high <= 1.5:
        raise InputError(f"The volume is not in HU but normalised: {span}. Give the CT before normalisation.")
    if low >= -150 and values.soft_if_stored > 0.05:
        raise InputError(
            f"The volume looks like HU + {_OFFSET}: {span}. Subtract {_OFFSET} (the rescale intercept was not applied)."
        )
    if low >= 0 and high <= 255:
        raise InputError(f"The volume is not in HU but 8-bit grey: {span}. Give the CT itself, not pictures of it.")
    if low > _FAT_HU:
        raise InputError(
            f"The volume is not in HU: {span}, and a patient's fat and air are below {_FAT_HU}. "
            "Give a CT in HU (not MR, not unscaled)."
        )
    if low > -300 and values.at_low > _CLIPPED_PART:
        raise InputError(f"The volume is clipped at {low:g} HU, so air and body look alike. Give the unclipped CT.")


def _check_filled(image: sitk.Image) -> None:
    """Refuse a volume around whose patient a constant stands that is no air, such as the 0 of another program.

    It would be taken for a part of the patient, and painted.
    """
    voxels = sitk.GetArrayViewFromImage(image)
    edges = np.concatenate([part.ravel() for p in voxels for part in (p[0], p[-1], p[1:-1, 0], p[1:-1, -1])])
    above = edges[edges > _HIGHEST_AIR_HU]
    if above.size < _FILLED_EDGE_PART * edges.size:
        return
    values, counts = np.unique(above, return_counts=True)
    value, count = values[counts.argmax()], int(counts.max())
    if count < _FILLED_EDGE_PART * edges.size:
        return  # tissue, where the patient is cut off: noise leaves no value as often
    part = sum(int(np.count_nonzero(plane == value)) for plane in voxels) / voxels.size
    if part > _FILLED_PART:
        raise InputError(
            f"A constant {value:g} fills {part:.0%} of the volume, outside the patient or the scanned field. Set "
            "it to -1024, the HU of air."
        )


def _values(image: sitk.Image) -> _Values:
    """Look at the values plane by plane: without a second volume, and without float64."""
    planes = sitk.GetArrayViewFromImage(image)
    low, high, soft, at_low, counted = np.inf, -np.inf, 0, 0, 0
    for plane in planes:
        if not np.isfinite(plane.min()) or not np.isfinite(plane.max()):
            raise InputError("The volume holds NaN or infinite values. Replace them, by -1024 where there is air.")
        kept = plane[plane >= _PADDING_HU]
        high = max(high, float(plane.max()))
        if float(plane.min()) < -_LARGEST_HU:
            low = min(low, float(plane.min()))
        if not kept.size:
            continue
        counted += kept.size
        soft += int(np.count_nonzero((kept >= _OFFSET_SOFT[0]) & (kept <= _OFFSET_SOFT[1])))
        plane_low = float(kept.min())
        if plane_low < low:
            low, at_low = plane_low, 0
        at_low += int(np.count_nonzero(kept == low))
    if np.isinf(low):  # padding alone
        low = high
    return _Values(low, high, soft / max(counted, 1), at_low / max(counted, 1))


def _enhanced(vessel_mm: float, scan_mm: float, is_short: bool) -> str:
    if is_short:
        return (
            f"The volume may be contrast-enhanced already (a bright vessel over {vessel_mm:.0f} of only {scan_mm:.0f} "
            "mm): the result would be enhanced twice. Make sure that it is the non-contrast phase."
        )
    return (
        f"The volume seems to be contrast-enhanced already (a bright vessel over {vessel_mm:.0f} mm): "
        "the result would be enhanced twice. Give the non-contrast phase."
    )


def _elsewhere(part: BodyPart) -> str | None:
    if part.is_abdomen:
        return None
    seen = "Nothing in the scan looks"
    if part.abdomen_mm:
        seen = f"Only {part.abdomen_mm:.0f} of {part.scanned_mm:.0f} mm look"
    return (
        f"{seen} like an abdomen ({part.others()}), and the model knows nothing else: there the result is a guess. "
        "Give a CT of the abdomen alone."
    )


def _noisy(noise_hu: float | None) -> str | None:
    if noise_hu is None or noise_hu <= NOISE_LIMIT_HU:
        return None
    return (
        f"The noise is {noise_hu:.0f} HU at the model's resolution (at most {NOISE_LIMIT_HU:g}): contrast is missed, "
        "in liver and spleen above all. Give a smoother reconstruction."
    )


def _thick(spacing: tuple[float, ...]) -> str | None:
    if spacing[2] <= _THICK_SLICE_MM:
        return None
    return (
        f"Slices are {spacing[2]:.1f} mm apart (the model works on {LONG_CELL_MM:g} mm): small vessels are lost. "
        "Give a series with thinner slices."
    )


def _coarse(spacing: tuple[float, ...]) -> str | None:
    if max(spacing[:2]) <= _COARSE_PIXEL_MM:
        return None
    return (
        f"Pixels are {max(spacing[:2]):.1f} mm wide (the model works on {CELL_MM:g} mm): fine structures are lost. "
        "Give the volume at full resolution."
    )


def _cut(cut_mm: float) -> str | None:
    if cut_mm <= _CUT_OUTLINE_MM:
        return None
    return (
        f"The body is cut off by the border of the volume ({cut_mm:.0f} mm of its outline): values near the cut are "
        "less reliable. Give a larger field of view."
    )


def _notes(scan: CoarseScan, is_unsure: bool, noise_hu: float | None, is_small_part: bool) -> tuple[str, ...]:
    notes = []
    if is_unsure:
        notes.append(f"In a scan of only {scan.length_mm:.0f} mm, contrast cannot be told for sure.")
    if is_small_part:
        notes.append("So much of the body is cut off that an abdomen cannot be told from a shoulder or another part.")
    if noise_hu is None:
        notes.append("There is too little soft tissue to measure the noise.")
    return tuple(notes)


def _times(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)
