"""Results in the scene: how the engine's result becomes nodes, and how a node becomes files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from S2LDMLib.errors import InputError
from S2LDMLib.volume.files import check_output_path, write_volume
from S2LDMLib.volume.sidecar import write_sidecar
from S2LDMSlicerLib.errors import PanelError

from ..jobs.volumes import EngineResult, Snapshot
from .dicom_database import files_of
from .dicom_hierarchy import forget_series
from .source_volume import SYNTHETIC, copy_of

PREFIX = "S2LDM."
SOURCE, DEVIATION = "S2LDM.source", "S2LDM.deviation"  # node references of a result
SOURCE_INSTANCES = "S2LDM.sourceInstanceUIDs"  # they outlive the source's node
KIND = "S2LDM.kind"
RESULT_KIND, DEVIATION_KIND = "result", "deviation"
WINDOW, LEVEL = 400.0, 0.0
EXPORT_SUFFIXES = (".nrrd", ".nii.gz")


def is_result(node: Any) -> bool:
    """Whether a node is a synthetic volume (not the spread of one)."""
    return node is not None and bool(node.GetAttribute(SYNTHETIC)) and node.GetAttribute(KIND) == RESULT_KIND


def add_result(source: Snapshot, made: EngineResult, replaced: Any = None) -> Any:
    """Put a synthetic volume into the scene, in the place of ``replaced`` or as a new one; returns its node."""
    phase = made.provenance.get("S2LDM_phase", "")
    node = replaced or _new_volume()
    _fill(node, source, made, f"{source.name} SYNTHETIC {phase}", RESULT_KIND)
    _show_with(node, WINDOW, LEVEL)
    return node


def add_deviation(source: Snapshot, made: EngineResult, result: Any) -> Any:
    """Put the spread of a result's samples beside it, in the place of an older one; returns its node."""
    node = result.GetNodeReference(DEVIATION) or _new_volume()
    _fill(node, source, made, f"{result.GetName()} SD", DEVIATION_KIND)
    _show_with(node, max(2.0, float(made.hu.max())), max(2.0, float(made.hu.max())) / 2)
    result.SetNodeReferenceID(DEVIATION, node.GetID())
    return node


def source_of(result: Any) -> Any:
    """The volume that a result was made from; None where it is gone."""
    return result.GetNodeReference(SOURCE)


def comes_from_dicom(result: Any) -> bool:
    """Whether the volume that a result was made from was loaded from a DICOM series."""
    return bool(result.GetAttribute(SOURCE_INSTANCES))


def source_files_of(result: Any) -> tuple[Path, ...]:
    """The files of the series that a result was made from; none without DICOM. Raises PanelError: see files_of."""
    return files_of(result.GetAttribute(SOURCE_INSTANCES) or "")


def export_result(node: Any, file: Path) -> list[Path]:
    """Write a synthetic volume with its provenance in the header, as far as the format holds it, and in a JSON file.

    Args:
        node: a volume that this module made. Its parent transform is not applied.
        file: ends with ``.nrrd`` or ``.nii.gz``; an existing one is replaced.

    Returns:
        The files that were written.

    Raises:
        PanelError: it cannot be written.
    """
    metadata = provenance_of(node)
    try:
        check_output_path(file, True, EXPORT_SUFFIXES)
        write_volume(copy_of(node).image(), file, True, metadata)
        return [file, write_sidecar(file, metadata, True)]
    except InputError as error:
        raise PanelError(str(error)) from None


def provenance_of(node: Any) -> dict[str, str]:
    """How a synthetic volume was made, by the engine's keys."""
    others = (SYNTHETIC, KIND, SOURCE_INSTANCES)
    names = [name for name in node.GetAttributeNames() if name.startswith(PREFIX) and name not in others]
    found = {name.replace(PREFIX, "S2LDM_", 1): node.GetAttribute(name) for name in sorted(names)}
    return {"description": node.GetDescription(), **found}


def _new_volume() -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)  # before there are voxels: it would look at all of them
    return node


def _fill(node: Any, source: Snapshot, made: EngineResult, name: str, kind: str) -> None:
    original = slicer.mrmlScene.GetNodeByID(source.node_id)  # None where it was deleted meanwhile
    modified = node.StartModify()
    try:
        if node.GetName() != name:
            node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        slicer.util.updateVolumeFromArray(node, made.hu)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.asarray(source.ijk_to_ras)))
        node.SetAndObserveTransformNodeID(original.GetTransformNodeID() if original else None)
        for old in [each for each in node.GetAttributeNames() if each.startswith(PREFIX)]:
            node.RemoveAttribute(old)
        node.SetAttribute(SYNTHETIC, "1")
        node.SetAttribute(KIND, kind)
        if source.instance_uids:
            node.SetAttribute(SOURCE_INSTANCES, source.instance_uids)
        forget_series(node)
        node.SetDescription(made.provenance.get("description", ""))
        for key, value in made.provenance.items():
            if key.startswith("S2LDM_"):
                node.SetAttribute(key.replace("S2LDM_", PREFIX, 1), value)
        node.SetNodeReferenceID(SOURCE, original.GetID() if original else None)
    finally:
        node.EndModify(modified)
    _file_under_study(node, original)


def _show_with(node: Any, window: float, level: float) -> None:
    node.CreateDefaultDisplayNodes()  # a result's display may have been deleted
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(window, level)
    if display.GetColorNode() is None:
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")


def _file_under_study(node: Any, original: Any) -> None:
    """Put the result where the input lies in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    beside = hierarchy.GetItemByDataNode(original) if original else 0
    parent = hierarchy.GetItemParent(beside) if beside else hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)
