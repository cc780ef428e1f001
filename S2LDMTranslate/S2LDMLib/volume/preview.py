"""A picture of a translation: NCCT | synthetic (| real) | difference, at W400/L0, with the word SYNTHETIC burned in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw, ImageFont

from ..about import NOTICE
from ..atomic import atomic_write
from .body import body_box
from .grid import Box, to_lps, whole_box

WINDOW, LEVEL = 400.0, 0.0
LARGEST_DIFFERENCE_HU = 300.0
SLICES = 3
PANEL = 384
NOT_MEASURED_HU = -1024


def compare_picture(
    ncct: sitk.Image, synthetic: dict[str, sitk.Image], real: dict[str, sitk.Image] | None = None
) -> Image.Image:
    """Draw axial slices as rows; columns are the NCCT and, for each phase, the synthetic image and the difference.

    Args:
        ncct: the input, HU.
        synthetic: for each phase the synthetic CECT on the same grid, HU.
        real: for each phase the real CECT on the same grid, HU. It is shown in a column more, and the difference is
            the one to it and not to the NCCT; that is black where the real scan measured nothing (-1024 HU).
    """
    real = real or {}
    source = to_lps(ncct)
    made, true = ({phase: to_lps(image) for phase, image in images.items()} for images in (synthetic, real))
    box = body_box(source) or whole_box(source)
    rows = []
    for z in _slices(box[0]):
        plane = _plane(source, z)
        panels = [_labelled(_grey(plane), "NCCT", source, box)]
        for phase, image in made.items():
            shown, reference = _plane(image, z), plane
            panels.append(_labelled(_grey(shown), f"{phase.upper()}\n{NOTICE}", source, box))
            if phase in true:
                reference = _plane(true[phase], z)
                panels.append(_labelled(_grey(reference), f"{phase.upper()}, real", source, box))
            difference = np.where(reference > NOT_MEASURED_HU, shown - reference, 0)
            panels.append(_labelled(_colour(difference), "difference, HU", source, box, legend=True))
        rows.append(_beside(panels))
    return _below(rows)


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_write(path) as partial:
        picture.save(partial, "PNG")


def _slices(z: slice) -> list[int]:
    """Choose evenly spread slices, head first, away from both ends."""
    count = min(SLICES, z.stop - z.start)
    return [z.start + round((z.stop - z.start - 1) * (i + 1) / (count + 1)) for i in reversed(range(count))]


def _plane(image: sitk.Image, z: int) -> np.ndarray:
    return sitk.GetArrayFromImage(image[:, :, z]).astype(np.float32)


def _grey(hu: np.ndarray) -> np.ndarray:
    unit = np.clip((hu - (LEVEL - WINDOW / 2)) / WINDOW, 0, 1)
    return np.repeat((unit * 255).astype(np.uint8)[..., None], 3, -1)


def _colour(difference: np.ndarray) -> np.ndarray:
    """Colour a difference: blue below, black at, orange to white above zero."""
    up, down = (np.clip(sign * difference / LARGEST_DIFFERENCE_HU, 0, 1) for sign in (1, -1))
    rgb = np.stack([1.8 * up, 1.2 * up + 0.5 * down, 0.6 * up**2 + 1.8 * down], -1)
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _labelled(rgb: np.ndarray, label: str, source: sitk.Image, box: Box, legend: bool = False) -> Image.Image:
    """The patient's part of a plane with square pixels, and its label."""
    sx, sy, _ = source.GetSpacing()
    _, y, x = box
    part = rgb[y, x]
    scale = PANEL / max((x.stop - x.start) * sx, (y.stop - y.start) * sy)
    size = (max(1, round(part.shape[1] * sx * scale)), max(1, round(part.shape[0] * sy * scale)))
    panel = Image.new("RGB", (PANEL, size[1] + 44))
    panel.paste(Image.fromarray(part).resize(size, Image.Resampling.BICUBIC), ((PANEL - size[0]) // 2, 40))
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(15)
    draw.text((6, 2), label, fill=(255, 190, 60), font=font, spacing=2)
    if legend:
        ramp = np.linspace(-LARGEST_DIFFERENCE_HU, LARGEST_DIFFERENCE_HU, 160, dtype=np.float32)
        panel.paste(Image.fromarray(_colour(np.tile(ramp, (10, 1)))), (130, 6))
        draw.text((130, 18), f"-{LARGEST_DIFFERENCE_HU:.0f}{'0':>13}{LARGEST_DIFFERENCE_HU:>+14.0f}", font=font)
    return panel


def _beside(panels: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(p.width for p in panels), max(p.height for p in panels)))
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width
    return row


def _below(rows: list[Image.Image]) -> Image.Image:
    picture = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)))
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    return picture
