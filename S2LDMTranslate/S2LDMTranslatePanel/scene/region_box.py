"""A markups ROI as the engine's region."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import slicer
import vtk
from S2LDMSlicerLib.errors import PanelError

SMALLEST_MM = 10.0


def place_region(roi: Any, volume: Any) -> None:
    """Put a new ROI over the middle of a volume, half as wide each way, for the user to shape."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    low, high = np.array(bounds[0::2]), np.array(bounds[1::2])
    roi.SetCenterWorld(((low + high) / 2).tolist())
    roi.SetSize(((high - low) / 2).tolist())


def region_of(roi: Any, volume: Any) -> tuple[float, ...]:
    """The box around an ROI, along the axes of the space that the volume's own geometry is in.

    Args:
        roi: a vtkMRMLMarkupsROINode, under any transform; None for no region.
        volume: a volume node; its parent transform is undone.

    Returns:
        x0, x1, y0, y1, z0, z1 in mm in LPS; empty without an ROI. A turned ROI gives the box around it.

    Raises:
        PanelError: the ROI is not placed, too small, or outside the volume.
    """
    if roi is None:
        return ()
    size = np.array(roi.GetSize())
    if roi.GetNumberOfDefinedControlPoints() == 0 or not size.all():
        raise PanelError(f"The region {roi.GetName()} is not placed. Draw it in a slice view, or choose none.")
    to_volume = vtk.vtkGeneralTransform()
    transform = slicer.vtkMRMLTransformNode
    transform.GetTransformBetweenNodes(None, volume.GetParentTransformNode(), to_volume)
    to_world = roi.GetObjectToWorldMatrix()
    corners = []
    for signs in itertools.product((-0.5, 0.5), repeat=3):
        corner = to_world.MultiplyPoint((*(signs * size), 1.0))[:3]
        corners.append(to_volume.TransformPoint(corner))
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    if (high - low).min() < SMALLEST_MM:
        raise PanelError(f"The region {roi.GetName()} is too small. Make it at least {SMALLEST_MM:g} mm wide each way.")
    bounds = [0.0] * 6
    volume.GetSliceBounds(bounds, None, False)  # of the volume's own space, RAS
    if any(low[axis] > bounds[2 * axis + 1] or high[axis] < bounds[2 * axis] for axis in range(3)):
        raise PanelError(f"The region {roi.GetName()} lies outside the volume. Move it over the patient.")
    (r0, a0, s0), (r1, a1, s1) = low.tolist(), high.tolist()
    return -r1, -r0, -a1, -a0, s0, s1
