"""A label within the pixels: readable wherever a viewer shows no header."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK_HU, GROUND_HU = 1000, -1000  # white on black at W400/L0, and still so in a window for lung or bone
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_SHARE = 0.3  # of the plane's width
_SMALLEST, _LARGEST = 9, 60  # px of the font; a smaller one cannot be read
_MARGIN = 1


def make_label(lines: Sequence[str], columns: int, rows: int) -> np.ndarray:
    """Draw a label in HU for the upper left corner of a plane.

    Args:
        lines: the first one always appears, broken where a small plane asks for it; of the others those that leave
            half of the plane's height free.
        columns, rows: the plane's size in pixels, 32 or more.

    Returns:
        int16 (height, width), no larger than the plane: ``INK_HU`` on ``GROUND_HU``.
    """
    font = _font(lines, columns)
    kept = list(lines)
    while True:
        text = "\n".join(part for line in kept for part in _broken(line, font, columns - 2 * _MARGIN))
        left, top, right, bottom = _measure().multiline_textbbox((0, 0), text, font=font, spacing=1)
        size = math.ceil(right - left) + 2 * _MARGIN, math.ceil(bottom - top) + 2 * _MARGIN
        if len(kept) == 1 or size[1] <= rows / 2:
            break
        kept.pop()
    picture = Image.new("1", (min(size[0], columns), min(size[1], rows)))  # one bit: grey edges would be tissue's HU
    ImageDraw.Draw(picture).multiline_text((_MARGIN - left, _MARGIN - top), text, fill=1, font=font, spacing=1)
    return np.where(np.array(picture), INK_HU, GROUND_HU).astype(np.int16)


def _font(lines: Sequence[str], columns: int) -> _Font:
    """The largest font that keeps to the share, or else the smallest one."""
    for size in range(_LARGEST, _SMALLEST, -1):
        font = ImageFont.load_default(size)
        if max(map(font.getlength, lines)) <= _SHARE * columns:
            return font
    return ImageFont.load_default(_SMALLEST)


def _broken(line: str, font: _Font, width: int) -> list[str]:
    """Break the line into as few equal parts as are needed to keep to the width."""
    for count in range(1, len(line)):
        length = math.ceil(len(line) / count)
        parts = [line[start : start + length] for start in range(0, len(line), length)]
        if max(map(font.getlength, parts)) <= width:
            return parts
    return list(line)


def _measure() -> ImageDraw.ImageDraw:
    return ImageDraw.Draw(Image.new("1", (1, 1)))
