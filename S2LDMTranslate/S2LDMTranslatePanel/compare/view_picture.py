"""A PNG of several views beside and below each other, as they are on the screen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import vtk
from S2LDMLib.errors import InputError
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

_GAP = 4


def read_pixels(window: Any) -> np.ndarray:
    """Draw a render window; returns RGB, uint8, shape (height, width, 3), the top row first."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()


def arrange(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Pictures as a table with a thin gap; RGB, uint8."""
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    widths = [max(pictures[i].shape[1] for pictures in rows) for i in range(len(rows[0]))]
    size = (sum(heights) + _GAP * (len(heights) - 1), sum(widths) + _GAP * (len(widths) - 1))
    canvas = np.full((*size, 3), 128, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = sum(heights[:y]) + _GAP * y, sum(widths[:x]) + _GAP * x
            canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def write_png(pixels: np.ndarray, path: Path, texts: Mapping[str, str]) -> None:
    """Write RGB pixels and texts for people who look into the file: to a temporary name first, then renamed.

    Raises:
        InputError: the name does not end in .png, or it cannot be written there.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"'{path.name}' is not the name of a PNG file. Choose a name that ends in .png.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(_encode(pixels, texts))
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"The picture cannot be written to {path}: {error.strerror}. Choose another place.") from error
    finally:
        partial.unlink(missing_ok=True)


def _encode(pixels: np.ndarray, texts: Mapping[str, str]) -> bytes:
    height, width, _ = pixels.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(pixels[::-1]).reshape(-1, 3), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()
    for key, text in texts.items():
        writer.AddText(key, text)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()
