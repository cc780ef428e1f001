"""Results in the real MRML scene, made by a click that runs the bundled model: one run for the whole file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer_standin
from panel_translate import (
    VOLUME,
    Translator,
    add_bent_transform,
    add_transform,
    add_volume,
    clean_scene,
    ijk_to_ras,
    matrix_of,
    module,
    run_to_end,
    slicer,
    temporary_path,
    tiny,
    vtk,
)
from panel_waiting import pass_the_time
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMSlicerLib.errors import PanelError
from S2LDMTranslatePanel.jobs.translation_job import TranslationRequest
from S2LDMTranslatePanel.jobs.volumes import EngineResult
from S2LDMTranslatePanel.scene.region_box import region_of
from S2LDMTranslatePanel.scene.result_nodes import add_deviation, add_result, export_result, provenance_of, source_of
from S2LDMTranslatePanel.scene.source_volume import hardened_copy, reason_unavailable, snapshot

MOVED = np.array([[1, 0, 0, 7], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 3], [0, 0, 0, 1.0]])


@pytest.fixture(autouse=True)
def scene(clicked: SimpleNamespace) -> Iterator[None]:
    """Empty for each test; the click that all share comes first."""
    with clean_scene():
        yield


@pytest.fixture(scope="module")
def oblique(phantom: PhantomTriple) -> sitk.Image:
    image = sitk.Flip(phantom.ncct, [True, False, True])
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.2, -0.1, 0.3)
    image.SetDirection((np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(image.GetDirection(), (3, 3))).ravel())
    return image


@pytest.fixture(scope="module")
def clicked(oblique: sitk.Image, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The bundled model on an oblique volume, by a click, in a real process: the result, and what the panel showed.

    click_s, busy_s: CPU time of the panel's thread, at the click and in one turn of the event loop.
    """
    with clean_scene(), temporary_path(tmp_path_factory.mktemp("temporary")) as temporary:
        add_volume(oblique, "Abdomen")
        panel = slicer_standin.open_panel(module)
        ui = panel.ui
        ui.compareWhenDoneCheckBox.checked, ui.deviceComboBox.currentText = False, "cpu"
        ui.precisionComboBox.currentText = "float32"

        def buttons() -> tuple[bool, bool, bool]:
            return ui.arterialButton.enabled, ui.venousButton.enabled, ui.cancelButton.enabled

        before, start = ui.statusLabel.text, time.thread_time()
        ui.arterialButton.click()
        click_s, buttons_running = time.thread_time() - start, buttons()
        pass_the_time(lambda: 0 < ui.progressBar.value < 100)
        running, busy_s = ui.statusLabel.text, run_to_end(panel)
        result = ui.resultVolumeSelector.currentNode()
        assert result is not None, ui.statusLabel.text
        record = SimpleNamespace(
            made=EngineResult(slicer.util.arrayFromVolume(result).copy(), provenance_of(result)),
            click_s=click_s,
            busy_s=busy_s,
            before=before,
            running=running,
            after=ui.statusLabel.text,
            name=result.GetName(),
            log=ui.logTextEdit.plainText,
            buttons_running=buttons_running,
            buttons_after=buttons(),
            left_behind=list(temporary.iterdir()),
        )
        slicer_standin.close_panel(panel)
    return record


@pytest.fixture
def volume(oblique: sitk.Image) -> Any:
    return add_volume(oblique)


@pytest.fixture
def result(volume: Any, made: EngineResult) -> Any:
    """What was made of the volume."""
    return add_result(snapshot(volume), made)


@pytest.fixture
def made(clicked: SimpleNamespace) -> EngineResult:
    return clicked.made


def test_a_click_runs_the_real_engine_to_a_real_result(clicked: SimpleNamespace) -> None:
    assert clicked.name == "Abdomen SYNTHETIC arterial"
    assert (clicked.before, clicked.running[-3:] == "..." or "left" in clicked.running) == ("Ready.", True)
    assert clicked.after.startswith("Done in ") and clicked.name in clicked.after
    assert clicked.buttons_running == (False, False, True) and clicked.buttons_after == (True, True, False)
    assert "$ s2ldm check" in clicked.log and "$ s2ldm translate" in clicked.log and clicked.left_behind == []


def test_the_event_loop_goes_on_during_a_run(clicked: SimpleNamespace) -> None:
    # Time of the processor, which other tests on this machine do not change; that it does not wait, `running` shows.
    assert clicked.click_s < 0.5 and clicked.busy_s < 0.5


def add_study(volume: Any) -> tuple[Any, int]:
    """File a volume under a patient's study, as the DICOM module does."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Patient")
    study = hierarchy.CreateStudyItem(patient, "Study")
    hierarchy.CreateItem(study, volume)
    return hierarchy, study


def attributes(node: Any) -> dict[str, str]:
    return {name: node.GetAttribute(name) for name in node.GetAttributeNames() if name.startswith("S2LDM.")}


def test_the_engine_in_its_process_makes_what_the_pipeline_makes(
    made: EngineResult, oblique: sitk.Image, bundled: S2LDMPipeline
) -> None:
    expected = sitk.GetArrayFromImage(bundled(oblique, "arterial"))
    assert np.abs(made.hu.astype(int) - expected).max() <= 1  # rounding, with another number of threads
    assert (made.hu != sitk.GetArrayFromImage(oblique)).mean() > 0.1


def test_the_result_lies_exactly_where_the_input_lies(volume: Any, made: EngineResult, oblique: sitk.Image) -> None:
    volume.SetAndObserveTransformNodeID(add_transform(MOVED).GetID())
    before, geometry = slicer.util.arrayFromVolume(volume).copy(), matrix_of(volume)
    result = add_result(snapshot(volume), made)
    assert np.array_equal(matrix_of(result), geometry) and np.array_equal(geometry, ijk_to_ras(oblique))
    assert result.GetTransformNodeID() == volume.GetTransformNodeID()
    assert np.array_equal(slicer.util.arrayFromVolume(result), made.hu)
    bounds = [[0.0] * 6, [0.0] * 6]
    volume.GetRASBounds(bounds[0])
    result.GetRASBounds(bounds[1])
    assert bounds[0] == bounds[1]
    assert np.array_equal(slicer.util.arrayFromVolume(volume), before) and volume.GetName() == "CT"
    assert volume.GetAttributeNames() == ()


def test_the_engine_gets_the_volume_in_its_own_space(volume: Any, oblique: sitk.Image) -> None:
    image = snapshot(volume).image()
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(oblique))
    for mine, theirs in ((image.GetOrigin(), oblique.GetOrigin()), (image.GetDirection(), oblique.GetDirection())):
        assert mine == pytest.approx(theirs, abs=1e-9)
    assert image.GetSpacing() == pytest.approx(oblique.GetSpacing(), abs=1e-9)


def test_the_result_says_what_it_is_and_how_it_was_made(volume: Any, result: Any, bundled: S2LDMPipeline) -> None:
    assert result.GetName() == "CT SYNTHETIC arterial"
    found = attributes(result)
    assert found.pop("S2LDM.version")
    measured = {name: found.pop(name) for name in list(found) if name.startswith("S2LDM.input_")}
    assert measured["S2LDM.input_abdomen_part"] == "1 (at least 0.5)" and "S2LDM.input_warnings" in measured
    assert found == {
        "S2LDM.synthetic": "1",
        "S2LDM.kind": "result",
        "S2LDM.model": "bundled",
        "S2LDM.revision": bundled.source.revision,
        "S2LDM.phase": "arterial",
        "S2LDM.seed": "0",
        "S2LDM.steps": "1",
        "S2LDM.detail": "native",
    }
    assert result.GetDescription().startswith("SYNTHETIC arterial") and "not a real scan" in result.GetDescription()
    display = result.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (400, 0, 0)
    assert source_of(result) is volume


def test_the_result_lies_in_the_study_of_the_input(volume: Any, made: EngineResult, oblique: sitk.Image) -> None:
    hierarchy, study = add_study(volume)
    result = add_result(snapshot(volume), made)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(result)) == study
    alone = add_result(snapshot(add_volume(oblique, "alone")), made)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(alone)) == hierarchy.GetSceneItemID()


def test_results_are_added_or_replaced_as_wanted(volume: Any, made: EngineResult) -> None:
    first, second = (add_result(snapshot(volume), made) for _ in range(2))
    assert [first.GetName(), second.GetName()] == ["CT SYNTHETIC arterial", "CT SYNTHETIC arterial_1"]
    changes = {"S2LDM_phase": "venous", "S2LDM_region": "0 1 0 1 0 1"}
    venous = EngineResult(made.hu + np.int16(1), made.provenance | changes)
    assert add_result(snapshot(volume), venous, first) is first
    assert first.GetName() == "CT SYNTHETIC venous" and first.GetAttribute("S2LDM.phase") == "venous"
    assert np.array_equal(slicer.util.arrayFromVolume(first), venous.hu)
    add_result(snapshot(volume), made, first)
    assert first.GetAttribute("S2LDM.region") is None and slicer.mrmlScene.GetNumberOfNodesByClass(VOLUME) == 3


def test_only_a_former_result_can_be_replaced(volume: Any, oblique: sitk.Image) -> None:
    for replaced in (volume, add_volume(oblique, "other")):
        with pytest.raises(PanelError, match="is no synthetic CT"):
            Translator(tiny("nothing")).start(volume, TranslationRequest("arterial"), replaced)


def test_the_spread_of_samples_lies_beside_its_result(volume: Any, result: Any, made: EngineResult) -> None:
    source = snapshot(volume)
    spread = add_deviation(source, EngineResult(np.full_like(made.hu, 12), made.provenance), result)
    assert result.GetNodeReference("S2LDM.deviation") is spread and spread.GetName() == "CT SYNTHETIC arterial SD"
    assert spread.GetAttribute("S2LDM.kind") == "deviation" and spread.GetAttribute("S2LDM.synthetic") == "1"
    assert add_deviation(source, EngineResult(made.hu, made.provenance), result) is spread


def test_an_input_that_is_gone_at_the_end_does_not_cost_the_result(volume: Any, made: EngineResult) -> None:
    source = snapshot(volume)
    slicer.mrmlScene.RemoveNode(volume)
    result = add_result(source, made)
    assert source_of(result) is None and np.array_equal(matrix_of(result), source.ijk_to_ras)


def test_a_saved_scene_brings_everything_back(volume: Any, made: EngineResult, tmp_path: Path) -> None:
    volume.SetAndObserveTransformNodeID(add_transform(MOVED).GetID())
    add_study(volume)
    result = add_result(snapshot(volume), made)
    name, before, geometry = result.GetName(), attributes(result), matrix_of(result)
    for node in (volume, result):
        node.AddDefaultStorageNode()
    cache = tmp_path / "cache"
    cache.mkdir()
    remote, manager = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
    remote.SetMRMLScene(slicer.mrmlScene)
    remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
    remote.AddDataIOToScene()
    manager.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    slicer.mrmlScene.SetRootDirectory(str(tmp_path))
    bundle = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(bundle), None)
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(bundle), True)
    back = slicer.util.getNode(name)
    assert attributes(back) == before and back.GetDescription().startswith("SYNTHETIC")
    assert np.allclose(matrix_of(back), geometry, atol=1e-6)
    assert np.array_equal(slicer.util.arrayFromVolume(back), made.hu)
    assert source_of(back).GetName() == "CT" and back.GetParentTransformNode() is not None
    assert (back.GetDisplayNode().GetWindow(), back.GetDisplayNode().GetLevel()) == (400, 0)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(back))
    assert hierarchy.GetItemName(parent) == "Study"


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_an_exported_result_carries_its_provenance(
    result: Any, made: EngineResult, oblique: sitk.Image, tmp_path: Path, suffix: str
) -> None:
    written = export_result(result, tmp_path / f"out{suffix}")
    assert written == [tmp_path / f"out{suffix}", tmp_path / "out.json"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    image = sitk.ReadImage(str(written[0]))
    assert np.array_equal(sitk.GetArrayFromImage(image), made.hu)
    assert image.GetDirection() == pytest.approx(oblique.GetDirection(), abs=1e-6)
    assert image.GetOrigin() == pytest.approx(oblique.GetOrigin(), abs=1e-3)
    sidecar = json.loads(written[1].read_text())
    assert sidecar["synthetic"] and sidecar["S2LDM_phase"] == "arterial" and sidecar["S2LDM_model"] == "bundled"
    assert sidecar["description"].startswith("SYNTHETIC")
    note = image.GetMetaData("ITK_FileNotes" if suffix == ".nii.gz" else "description")
    assert note.startswith("SYNTHETIC arterial CECT")
    if suffix == ".nrrd":
        assert image.GetMetaData("S2LDM_revision") == sidecar["S2LDM_revision"]


def test_an_export_to_nowhere_is_one_clear_message(result: Any, tmp_path: Path) -> None:
    for file, message in ((tmp_path / "no" / "o.nrrd", "does not exist"), (tmp_path / "o.png", "no known ending")):
        with pytest.raises(PanelError, match=message):
            export_result(result, file)


# What is no input


def bad_inputs() -> Iterator[tuple[Any, str]]:
    """Nodes that cannot be translated, and how the message about each begins."""
    scene, small = slicer.mrmlScene, np.zeros((4, 8, 8), np.int16)
    synthetic, proxy = (slicer.util.addVolumeFromArray(small, name=name) for name in ("made", "moment"))
    synthetic.SetAttribute("S2LDM.synthetic", "1")
    sequence, browser = slicer.vtkMRMLSequenceNode(), slicer.vtkMRMLSequenceBrowserNode()
    sequence.SetName("sequence")
    scene.AddNode(sequence)
    scene.AddNode(browser)
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(proxy, sequence, False)
    yield None, "No input volume is chosen"
    yield scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels"), "labels is a label map"
    yield scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "rgb"), "rgb is no scalar volume"
    yield scene.AddNewNodeByClass(VOLUME, "empty"), "empty is empty"
    yield slicer.util.addVolumeFromArray(small[:1], name="plane"), "plane is a single slice"
    yield slicer.util.addVolumeFromArray(small, np.eye(4) + np.eye(4, k=1) * 0.2, "tilted"), "tilted has a sheared grid"
    yield synthetic, "made is synthetic already"
    yield sequence, "sequence is a sequence"
    yield proxy, "moment is one moment of a sequence"


def test_what_cannot_be_translated_is_refused_with_its_name() -> None:
    for node, message in bad_inputs():
        assert reason_unavailable(node).startswith(message)
        nodes = slicer.mrmlScene.GetNumberOfNodes()
        with pytest.raises(PanelError, match=message):
            Translator(tiny("nothing")).start(node, TranslationRequest("arterial"))
        assert slicer.mrmlScene.GetNumberOfNodes() == nodes


def test_a_hardened_copy_lies_where_the_volume_is_seen(volume: Any) -> None:
    volume.SetAndObserveTransformNodeID(add_bent_transform().GetID())
    before = slicer.util.arrayFromVolume(volume).copy()
    copy = hardened_copy(volume)
    assert copy is not volume and copy.GetParentTransformNode() is None and reason_unavailable(copy) == ""
    assert copy.GetName() == "CT hardened" and volume.GetParentTransformNode() is not None
    assert np.array_equal(slicer.util.arrayFromVolume(volume), before)
    assert not np.array_equal(matrix_of(copy), matrix_of(volume)) or not np.array_equal(
        slicer.util.arrayFromVolume(copy), before
    )


# Regions


def add_roi(centre: tuple[float, ...], size: tuple[float, ...]) -> Any:
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetCenterWorld(centre)
    roi.SetSize(size)
    return roi


def test_a_roi_becomes_a_box_in_the_volumes_own_lps(phantom: PhantomTriple) -> None:
    volume, roi = add_volume(phantom.ncct), add_roi((10, -20, 5), (40, 60, 20))
    assert region_of(roi, volume) == pytest.approx((-30, 10, -10, 50, -5, 15))
    shift = np.eye(4)
    shift[:3, 3] = 100, 0, 0
    transform = add_transform(shift)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    roi.SetCenterWorld((110, -20, 5))
    assert region_of(roi, volume) == pytest.approx((-30, 10, -10, 50, -5, 15))
    assert region_of(None, volume) == ()


def test_of_a_turned_roi_it_is_the_box_around_it(phantom: PhantomTriple) -> None:
    volume, roi = add_volume(phantom.ncct), add_roi((0, 0, 0), (40, 40, 20))
    turn = vtk.vtkTransform()
    turn.RotateZ(45)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    roi.SetAndObserveTransformNodeID(transform.GetID())
    half = 40 / np.sqrt(2)
    assert region_of(roi, volume) == pytest.approx((-half, half, -half, half, -10, 10))


@pytest.mark.parametrize(
    ("centre", "size", "message"),
    [
        ((0, 0, 0), (40, 5, 20), "too small"),
        ((2000, 0, 0), (40, 40, 20), "outside the volume"),
        (None, None, "not placed"),
    ],
)
def test_a_roi_that_cannot_be_used_is_refused(
    phantom: PhantomTriple, centre: tuple[float, ...] | None, size: tuple[float, ...] | None, message: str
) -> None:
    volume = add_volume(phantom.ncct)
    roi = add_roi(centre, size) if centre and size else slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    with pytest.raises(PanelError, match=f"The region R .*{message}"):
        region_of(roi, volume)
