"""An exported series in the subject hierarchy, as Slicer's DICOM plugins file a series that they load.

After ``DICOMPlugin.addSeriesInSubjectHierarchy`` of Slicer's DICOMLib, which needs a loadable of the DICOM browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from .dicom_database import INSTANCES

_NAMES = slicer.vtkMRMLSubjectHierarchyConstants


def file_under_its_study(node: Any, folder: Path) -> None:
    """Tell the scene that a volume is the series in a folder: it goes under that patient and study."""
    from pydicom import dcmread

    headers = [dcmread(file, stop_before_pixels=True) for file in sorted(folder.iterdir())]
    instances = " ".join(str(header.SOPInstanceUID) for header in headers)
    node.SetAttribute(INSTANCES, instances)
    tree, first = _hierarchy(), headers[0]
    item = tree.GetItemByDataNode(node) or tree.CreateItem(tree.GetSceneItemID(), node)
    tree.SetItemUID(item, _NAMES.GetDICOMUIDName(), str(first.SeriesInstanceUID))
    tree.SetItemUID(item, _NAMES.GetDICOMInstanceUIDName(), instances)
    tree.SetItemAttribute(item, _NAMES.GetDICOMSeriesModalityAttributeName(), "CT")
    tree.SetItemAttribute(item, _NAMES.GetDICOMSeriesNumberAttributeName(), _text(first, "SeriesNumber"))
    _insert(tree, first)


def forget_series(node: Any) -> None:
    """A volume with new voxels is no longer the series that was exported."""
    node.RemoveAttribute(INSTANCES)
    tree = _hierarchy()
    if item := tree.GetItemByDataNode(node):
        for name in (_NAMES.GetDICOMUIDName(), _NAMES.GetDICOMInstanceUIDName()):
            tree.RemoveItemUID(item, name)


def _insert(tree: Any, header: Any) -> None:
    """File the series under the items of its patient and study; those that are new get their names."""
    study = str(header.StudyInstanceUID)
    patient = _text(header, "PatientID") or f"Patient-{study}"  # as Slicer does: patients need an identifier
    name, described, date = (_text(header, each) for each in ("PatientName", "StudyDescription", "StudyDate"))
    is_new = [not tree.GetItemByUID(_NAMES.GetDICOMUIDName(), uid) for uid in (patient, study)]
    insert = slicer.vtkSlicerSubjectHierarchyModuleLogic.InsertDicomSeriesInHierarchy
    insert(tree, patient, study, str(header.SeriesInstanceUID))
    if is_new[0]:
        item = tree.GetItemByUID(_NAMES.GetDICOMUIDName(), patient)
        tree.SetItemName(item, name or "No name")
        tree.SetItemAttribute(item, _NAMES.GetDICOMPatientNameAttributeName(), name)
        tree.SetItemAttribute(item, _NAMES.GetDICOMPatientIDAttributeName(), patient)
    if is_new[1]:
        item = tree.GetItemByUID(_NAMES.GetDICOMUIDName(), study)
        tree.SetItemName(item, f"{described or 'No study description'} ({date})")
        tree.SetItemAttribute(item, _NAMES.GetDICOMStudyInstanceUIDTagName(), study)
        tree.SetItemAttribute(item, _NAMES.GetDICOMStudyDescriptionAttributeName(), described)
        tree.SetItemAttribute(item, _NAMES.GetDICOMStudyDateAttributeName(), date)


def _hierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def _text(header: Any, keyword: str) -> str:
    return str(header.get(keyword) or "")
