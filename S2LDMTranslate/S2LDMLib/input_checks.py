"""Is this volume a CT in HU that can be translated? Asked before any heavy work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .body import body_mask
from .contrast_guard import ENHANCED_LENGTH_MM, enhanced_vessel_length
from .errors import InputError

_SPACING_MM = (0.1, 20.0)  # outside it, a unit or a header is wrong
_LARGEST_PIXEL_MM = 5.0
_COARSE_PIXEL_MM = 2.0
_THICK_SLICE_MM = 10.0
_CUT_OUTLINE_MM = 20.0  # mean length of skin line a slice that lies on the border of the field of view
_LARGEST_HU = 1e5
_PADDING_HU = -1100  # below it: outside the reconstruction circle (-2000, -3024)
_FAT_HU = -80  # any part of a patient holds fat or air
_OFFSET = 1024  # of stored CT values without their rescale
_OFFSET_SOFT = (_OFFSET - 150, _OFFSET + 200)  # soft tissue and fat in stored values
_CLIPPED_PART = 0.1  # of all voxels at the very minimum, above the body threshold


@dataclass(frozen=True)
class InputReport:
    """Reasons to doubt the result, one sentence each; empty for a usual non-contrast CT.

    ``enhanced``: one of them is that the volume seems to hold contrast already.
    """

    warnings: tuple[str, ...]
    enhanced: bool = False


@dataclass(frozen=True)
class _Values:
    """Extremes without padding, and shares of voxels."""

    low: float
    high: float
    soft_if_stored: float  # within _OFFSET_SOFT
    at_low: float


def check_input(image: sitk.Image, min_size: tuple[int, int, int]) -> InputReport:
    """Checks shape, spacing, values and content; a few seconds, and two uint8 volumes of memory at most.

    Args:
        image: the volume to translate, to be in HU.
        min_size: smallest size in voxels that the model takes (x, y, z in LPS axis order).

    Raises:
        InputError: not a 3D scalar volume, too small, absurd spacing, NaN, not HU, or no body in it.
    """
    _check_kind(image)
    image = sitk.DICOMOrient(image, "LPS")  # the third axis is the patient's long axis, however the scan is stored
    _check_size(image.GetSize(), min_size)
    _check_spacing(image.GetSpacing())
    _check_values(_values(image))
    mask = body_mask(image)
    body = sitk.GetArrayViewFromImage(mask)
    if not body.any():
        raise InputError("No body was found (nothing above -300 HU is large enough). Give a CT of a patient, in HU.")
    enhanced = _enhanced(image)
    found = (enhanced, _thick(image.GetSpacing()), _coarse(image.GetSpacing()), _cut(body, image.GetSpacing()))
    return InputReport(tuple(warning for warning in found if warning), enhanced is not None)


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


def _values(image: sitk.Image) -> _Values:
    """Plane by plane: no second volume, and no float64."""
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


def _enhanced(image: sitk.Image) -> str | None:
    length = enhanced_vessel_length(image)
    if length < ENHANCED_LENGTH_MM:
        return None
    return (
        f"The volume seems to be contrast-enhanced already (a bright vessel over {length:.0f} mm): "
        "the result would be enhanced twice. Give the non-contrast phase."
    )


def _thick(spacing: tuple[float, ...]) -> str | None:
    if spacing[2] <= _THICK_SLICE_MM:
        return None
    return f"Slices are {spacing[2]:.1f} mm apart: small vessels are lost. Give a series with thinner slices."


def _coarse(spacing: tuple[float, ...]) -> str | None:
    if max(spacing[:2]) <= _COARSE_PIXEL_MM:
        return None
    return f"Pixels are {max(spacing[:2]):.1f} mm wide: fine structures are lost. Give the volume at full resolution."


def _cut(body: np.ndarray, spacing: tuple[float, ...]) -> str | None:
    """``body`` is (z, y, x)."""
    columns = np.count_nonzero(body[..., 0]) + np.count_nonzero(body[..., -1])
    rows = np.count_nonzero(body[:, 0]) + np.count_nonzero(body[:, -1])
    present = np.count_nonzero(body.any(axis=(1, 2)))
    if columns * spacing[1] + rows * spacing[0] <= _CUT_OUTLINE_MM * present:
        return None
    return "The body is cut off by the border of the volume: values near the cut are less reliable."


def _times(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in values)
