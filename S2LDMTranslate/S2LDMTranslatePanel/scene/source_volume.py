"""The volume that is translated: whether it can be, and what of it the engine needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from S2LDMSlicerLib.errors import PanelError

from ..jobs.volumes import Snapshot
from .dicom_database import instances_of, is_synthetic_series

SYNTHETIC = "S2LDM.synthetic"
_SHEAR = 1e-3


def snapshot(node: Any) -> Snapshot:
    """Copy a volume.

    Raises:
        PanelError: see :func:`reason_unavailable`; or there is no memory for the copy.
    """
    if reason := reason_unavailable(node):
        raise PanelError(reason)
    return copy_of(node)


def copy_of(node: Any) -> Snapshot:
    """The copy alone, of any scalar volume; raises PanelError where there is no memory for it."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    try:
        hu = slicer.util.arrayFromVolume(node).copy()
    except MemoryError:
        raise PanelError("There is no memory for a copy of the volume. Close other programs, or crop it.") from None
    return Snapshot(node.GetName(), node.GetID(), hu, slicer.util.arrayFromVTKMatrix(matrix), instances_of(node))


def reason_unavailable(node: Any) -> str:
    """Why a node cannot be translated, in two sentences; empty where it can. A transform is no matter here."""
    if node is None:
        return "No input volume is chosen. Load a non-contrast CT and choose it."
    name = node.GetName()
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return f"{name} is a label map. Choose a CT volume."
    if node.IsA("vtkMRMLSequenceNode"):
        return f"{name} is a sequence. Choose one 3D volume."
    if node.GetClassName() != "vtkMRMLScalarVolumeNode":
        return f"{name} is no scalar volume but a {node.GetNodeTagName()}. Choose a CT volume with one value a voxel."
    if node.GetAttribute(SYNTHETIC) or is_synthetic_series(node):
        return f"{name} is synthetic already. Choose the non-contrast CT."
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return f"{name} is empty. Load the volume anew."
    if image.GetNumberOfScalarComponents() != 1:
        return f"{name} has several values a voxel. Choose a CT volume with one value a voxel."
    if min(image.GetDimensions()) < 2:
        return f"{name} is a single slice. Choose a 3D volume."
    if _plays(node):
        return f"{name} is one moment of a sequence that is played. Clone the volume and choose the clone."
    if _is_sheared(node):
        return f"{name} has a sheared grid (gantry tilt?). Resample it to a straight grid and choose that volume."
    return ""


def has_nonlinear_transform(node: Any) -> bool:
    """Whether something but a matrix lies over the node, so that its grid is bent in the scene."""
    transform = node.GetParentTransformNode()
    return transform is not None and not transform.IsTransformToWorldLinear()


def hardened_copy(node: Any) -> Any:
    """A new volume that lies where the node is seen; the node stays as it is."""
    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, node, f"{node.GetName()} hardened")
    copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    copy.HardenTransform()
    return copy


def _plays(node: Any) -> bool:
    """A sequence browser writes another time point into its proxy nodes whenever it likes."""
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    return any(browser.IsProxyNodeID(node.GetID()) for browser in browsers)


def _is_sheared(node: Any) -> bool:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    axes = slicer.util.arrayFromVTKMatrix(matrix)[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > _SHEAR)
