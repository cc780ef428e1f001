"""The module S2LDMTranslate and DICOM: a result goes back into the study of its source, by the real engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, write_series
from panel_translate import add_volume, ijk_to_ras, matrix_of, run_to_end, slicer
from panel_waiting import pass_the_time, wait_for
from S2LDMLib.dicom.reading.series import find_series
from S2LDMSlicerLib import dependencies
from S2LDMTranslatePanel import dicom_export
from S2LDMTranslatePanel.jobs.export_job import ExportRequest
from S2LDMTranslatePanel.jobs.volumes import EngineResult
from S2LDMTranslatePanel.scene.result_nodes import add_result
from S2LDMTranslatePanel.scene.source_volume import copy_of, reason_unavailable

PROVENANCE = {
    "description": "SYNTHETIC venous CECT by S2LDM 0.0",
    "S2LDM_phase": "venous",
    "S2LDM_version": "0.0",
    "S2LDM_model": "model",
    "S2LDM_revision": "0123456789ab",
    "S2LDM_seed": "0",
    "S2LDM_steps": "1",
    "S2LDM_detail": "native",
}
Opened, Errors = Callable[..., Any], list[tuple[str, str]]
PATIENT, STUDY_UID = "MADE-UP-7", "1.2.826.0.1.3680043.8.498.77"
INSTANCES = "DICOM.instanceUIDs"


@pytest.fixture(autouse=True)
def database(temporary: Path) -> Iterator[None]:
    slicer.dicomDatabase.openDatabase("")
    yield
    slicer.dicomDatabase.closeDatabase()


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user chooses."""
    import qt

    folder = tmp_path / "chosen"
    folder.mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Any:
    return load_from_database(tmp_path / "ncct")


def load_from_database(folder: Path) -> Any:
    """A volume as Slicer's DICOM module loads it: node, attribute and place in the subject hierarchy."""
    from DICOMLib import DICOMUtils

    voxels = ct_array((6, 24, 32)) + np.int16(1024)
    write_series(folder, voxels, PatientID=PATIENT, StudyInstanceUID=STUDY_UID, StudyDescription="Abdomen")
    assert DICOMUtils.importDicom(str(folder))
    series = find_series(folder)
    node = add_volume(series.read(), "3: plain")
    node.SetAttribute(INSTANCES, " ".join(one.sop_instance_uid for one in series.slices))
    tree = hierarchy()
    tree.SetItemUID(tree.CreateItem(tree.GetSceneItemID(), node), "DICOM", series.uid)
    slicer.vtkSlicerSubjectHierarchyModuleLogic.InsertDicomSeriesInHierarchy(tree, PATIENT, STUDY_UID, series.uid)
    return node


def hierarchy() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def study_of(node: Any) -> str:
    """UID of the item that a node lies under."""
    return hierarchy().GetItemUID(hierarchy().GetItemParent(hierarchy().GetItemByDataNode(node)), "DICOM")


def result_of(node: Any, replaced: Any = None) -> Any:
    copy = copy_of(node)
    return add_result(copy, EngineResult(copy.hu + np.int16(7), PROVENANCE), replaced)


def panel_with(opened: Opened, result: Any, end: str = "", **parameters: Any) -> Any:
    panel = opened(end)
    for name, value in {"resultVolume": result, **parameters}.items():
        setattr(panel.logic.getParameterNode(), name, value)
    return panel


def exported(panel: Any, parent: Path) -> list[pydicom.Dataset]:
    """What a click on the button writes, in the order of the slices."""
    panel.ui.exportDicomButton.click()
    run_to_end(panel)
    (folder,) = parent.iterdir()
    return [one.header for one in find_series(folder).slices]


def test_a_result_goes_into_the_study_of_its_source(opened: Opened, source: Any, parent: Path) -> None:
    panel = panel_with(opened, result_of(source))
    written = exported(panel, parent)
    folder = parent / "3 plain SYNTHETIC venous"
    assert panel.ui.statusLabel.text == f"Written: {folder}" and len(written) == 6
    uids = source.GetAttribute(INSTANCES).split()
    for header, uid in zip(written, uids, strict=True):
        assert (header.StudyInstanceUID, header.PatientID, header.SyntheticData) == (STUDY_UID, PATIENT, "YES")
        assert header.SourceImageSequence[0].ReferencedSOPInstanceUID == uid
    image = find_series(folder).read()
    result = panel.logic.getParameterNode().resultVolume
    assert (slicer.util.arrayFromVolume(result) == sitk.GetArrayFromImage(image)).all()
    assert np.allclose(matrix_of(result), ijk_to_ras(image))
    assert "Writing the series" not in panel.ui.statusLabel.text and panel.ui.exportDicomButton.enabled


def test_the_series_is_added_to_the_database_only_on_request(opened: Opened, source: Any, parent: Path) -> None:
    result = result_of(source)
    written = exported(panel_with(opened, result), parent)
    assert slicer.dicomDatabase.instancesForSeries(str(written[0].SeriesInstanceUID)) == []
    assert result.GetAttribute(INSTANCES) is None
    shutil.rmtree(next(parent.iterdir()))
    written = exported(panel_with(opened, result, addToDatabase=True), parent)
    uids = [str(header.SOPInstanceUID) for header in written]
    assert sorted(slicer.dicomDatabase.instancesForSeries(str(written[0].SeriesInstanceUID))) == sorted(uids)
    item = hierarchy().GetItemByUID("DICOM", str(written[0].SeriesInstanceUID))
    assert hierarchy().GetItemDataNode(item) is result and study_of(result) == study_of(source) == STUDY_UID
    assert result.GetAttribute(INSTANCES).split() == uids


def test_a_volume_that_was_exported_and_loaded_again_is_not_translated_twice(
    opened: Opened, source: Any, parent: Path
) -> None:
    written = exported(panel_with(opened, result_of(source), addToDatabase=True), parent)
    again = add_volume(ct_image())
    again.SetAttribute(INSTANCES, str(written[0].SOPInstanceUID))
    assert "is synthetic already" in reason_unavailable(again) and reason_unavailable(source) == ""


def test_a_new_translation_into_the_same_node_is_no_longer_the_series(
    opened: Opened, source: Any, parent: Path
) -> None:
    result = result_of(source)
    series = str(exported(panel_with(opened, result, addToDatabase=True), parent)[0].SeriesInstanceUID)
    assert result_of(source, result) is result and result.GetAttribute(INSTANCES) is None
    assert hierarchy().GetItemByUID("DICOM", series) == 0 and study_of(result) == STUDY_UID


def test_a_result_that_outlives_its_source_still_finds_the_study(opened: Opened, source: Any, parent: Path) -> None:
    result = result_of(source)
    slicer.mrmlScene.RemoveNode(source)
    assert {header.StudyInstanceUID for header in exported(panel_with(opened, result), parent)} == {STUDY_UID}


def test_a_copy_on_another_grid_is_exported_with_its_own_geometry(opened: Opened, source: Any, parent: Path) -> None:
    copy = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, source, "moved")
    copy.SetOrigin(*(np.array(copy.GetOrigin()) + 0.5))
    written = exported(panel_with(opened, result_of(copy)), parent)
    assert {header.StudyInstanceUID for header in written} == {STUDY_UID}
    assert written[0].DerivationCodeSequence[0].CodeValue == "113085"
    first = np.array(source.GetOrigin()) + 0.5
    assert np.allclose(np.array(written[0].ImagePositionPatient, float), first * [-1, -1, 1])


def test_a_source_without_dicom_makes_a_new_study_that_says_synthetic(opened: Opened, parent: Path) -> None:
    result = result_of(add_volume(ct_image((6, 24, 32))))
    panel = panel_with(
        opened, result, addToDatabase=True, anonymize=True, patientId="-7", studyDescription=" Phantom  study "
    )
    written = exported(panel, parent)
    assert "SYNTHETIC" in str(written[0].PatientName) and written[0].StudyDescription == "Phantom study"
    assert written[0].PatientID == "-7"
    study = str(written[0].StudyInstanceUID)
    assert study_of(result) == study
    item = hierarchy().GetItemByUID("DICOM", study)
    assert hierarchy().GetItemName(item).startswith("Phantom study (20")
    assert hierarchy().GetItemAttribute(item, "DICOM.StudyDescription") == "Phantom study"
    assert "SYNTHETIC" in hierarchy().GetItemName(hierarchy().GetItemParent(item))


def test_an_anonymous_series_is_of_no_patient_of_the_scene(opened: Opened, source: Any, parent: Path) -> None:
    result = result_of(source)
    panel = panel_with(opened, result, addToDatabase=True, anonymize=True, patientName="Nobody")
    written = exported(panel, parent)
    assert (written[0].PatientName, written[0].PatientIdentityRemoved) == ("Nobody", "YES")
    assert written[0].StudyInstanceUID != STUDY_UID and PATIENT not in str(written[0])
    assert study_of(result) == STUDY_UID and result.GetAttribute(INSTANCES) is None
    assert len(slicer.dicomDatabase.instancesForSeries(str(written[0].SeriesInstanceUID))) == 6


def test_what_anonymising_needs_is_asked_for_only_then(
    opened: Opened, source: Any, parent: Path, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dependencies.installed_version
    monkeypatch.setattr(
        dependencies, "installed_version", lambda name: None if name == "dicom-anonymizer" else real(name)
    )
    asked: list[str] = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, *_: asked.append(text))
    panel = panel_with(opened, result_of(source), anonymize=True)
    panel.ui.exportDicomButton.click()
    assert "dicom-anonymizer" in asked.pop() and "are not installed" in errors.pop()[0]
    assert not panel.logic.translator.is_running and list(parent.iterdir()) == []
    panel.logic.getParameterNode().anonymize = False
    assert len(exported(panel, parent)) == 6 and asked == []


def test_the_patient_of_a_dicom_source_cannot_be_changed(opened: Opened, source: Any, parent: Path) -> None:
    panel = panel_with(opened, result_of(source), patientName="Somebody^Else")
    lines = (panel.ui.patientNameLineEdit, panel.ui.patientIdLineEdit, panel.ui.studyDescriptionLineEdit)
    assert not any(line.enabled for line in lines) and lines[0].placeholderText == "as in the source series"
    assert {str(header.PatientName) for header in exported(panel, parent)} == {"Made^Up"}
    panel.logic.getParameterNode().anonymize = True
    assert all(line.enabled for line in lines) and panel.ui.anonymizeCheckBox.enabled
    panel.logic.getParameterNode().resultVolume = result_of(add_volume(ct_image()))
    assert all(line.enabled for line in lines) and not panel.ui.anonymizeCheckBox.enabled


def test_a_label_is_burnt_in_on_request(opened: Opened, source: Any, parent: Path) -> None:
    assert exported(panel_with(opened, result_of(source), burnIn=True), parent)[0].BurnedInAnnotation == "YES"


def test_files_that_are_gone_are_told_before_any_work(
    opened: Opened, source: Any, parent: Path, errors: Errors
) -> None:
    panel = panel_with(opened, result_of(source))
    Path(slicer.dicomDatabase.fileForInstance(source.GetAttribute(INSTANCES).split()[2])).unlink()
    panel.ui.exportDicomButton.click()
    assert errors.pop()[0].startswith("1 of 6 DICOM files")
    slicer.dicomDatabase.closeDatabase()
    panel.ui.exportDicomButton.click()
    assert "database is not open" in errors.pop()[0]
    assert not panel.logic.translator.is_running and list(parent.iterdir()) == []


def test_what_the_engine_refuses_is_one_message(opened: Opened, source: Any, parent: Path, errors: Errors) -> None:
    files = [Path(slicer.dicomDatabase.fileForInstance(uid)) for uid in source.GetAttribute(INSTANCES).split()]
    files[3].write_bytes(files[3].read_bytes()[:-500])
    panel = panel_with(opened, result_of(source))
    panel.ui.exportDicomButton.click()
    run_to_end(panel)
    ((message, _),) = errors
    assert files[3].name in message and list(parent.iterdir()) == []
    assert "$ s2ldm to-dicom" in panel.logic.translator.log()


def test_cancelling_leaves_nothing_in_the_chosen_folder(
    opened: Opened, source: Any, parent: Path, tmp_path: Path
) -> None:
    panel = panel_with(opened, result_of(source), "hang")
    panel.ui.exportDicomButton.click()
    pass_the_time(lambda: panel.ui.progressBar.value == 25)
    assert panel.ui.statusLabel.text.startswith("Writing the series") and not panel.ui.exportDicomButton.enabled
    assert [folder.name.startswith(".S2LDM-") for folder in parent.iterdir()] == [True]
    panel.ui.cancelButton.click()
    assert "Cancelled" in panel.ui.statusLabel.text
    wait_for(lambda: list(parent.iterdir()) == [] and list((tmp_path / "temporary").iterdir()) == [])


def test_a_folder_that_cannot_be_written_to_is_named(opened: Opened, source: Any, parent: Path, errors: Errors) -> None:
    panel = panel_with(opened, result_of(source))
    parent.rmdir()
    panel.ui.exportDicomButton.click()
    run_to_end(panel)
    assert f"{parent} cannot be written to" in errors.pop()[0] and not errors


def test_a_database_that_refuses_is_told_and_the_series_stays(
    opened: Opened, source: Any, parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = panel_with(opened, result_of(source), addToDatabase=True)
    monkeypatch.setattr(dicom_export, "add_series", _closed_meanwhile)
    assert len(exported(panel, parent)) == 6
    assert "database is not open" in panel.ui.statusLabel.text


def _closed_meanwhile(folder: Path) -> None:
    from S2LDMTranslatePanel.scene.dicom_database import add_series

    slicer.dicomDatabase.closeDatabase()
    add_series(folder)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("3: CT/abdomen ", "3 CT abdomen"), ("..", "SYNTHETIC"), ("taken", "taken 2"), ("Bäuche?", "Bäuche")],
)
def test_the_folder_of_a_series_is_new_and_has_a_name_that_every_system_takes(
    tmp_path: Path, name: str, folder: str
) -> None:
    (tmp_path / "taken").mkdir()
    assert dicom_export.free_folder(tmp_path, name) == tmp_path / folder


def test_no_name_stands_in_the_command_line_or_the_log(tmp_path: Path) -> None:
    request = ExportRequest(tmp_path / "out", patient_name="Doe^Jane", patient_id="P-7", study_description="Trial")
    words = " ".join(request.arguments(tmp_path / "v.nrrd", None, tmp_path / "out", tmp_path / "patient.json"))
    assert request.patient() == {"patient_name": "Doe^Jane", "patient_id": "P-7", "study_description": "Trial"}
    assert not [text for text in request.patient().values() if text in words]
