"""What only a real Slicer can verify, checked there::

    Slicer --no-splash --python-script Testing/panel/slicer_selftest.py [FOLDER]

It opens the module, makes the sample, translates it with the bundled model, compares, exports (also into a temporary
DICOM database, from which the series is loaded again), saves and loads the scene, and cancels a second run. Pictures
and ``report.json`` are written to FOLDER (default: the working directory's ``selftest``); Slicer ends with exit code 0,
or 1 where a check failed. Look at the pictures, too.

Checked by this script, because the tests outside Slicer only stand in for it
- the panel as Slicer's own QUiLoader, ctk and qMRML widgets show it (``panel.png``);
- parameterNodeWrapper's connections to those widgets;
- the subprocess of PythonSlicer under Slicer's launcher environment, and how long the event loop stands still;
- the layout manager with real slice widgets, the label and the legend in them, DataProbe beside them (``window.png``);
- the subject hierarchy as its plugins build it; the scene saved to and loaded from an MRB by Slicer's own IO;
- files that were exported, loaded by Slicer's own readers; the DICOM series added to a real ctkDICOMDatabase, loaded by
  Slicer's DICOM plugins, and then refused as synthetic.

Not checked by any script; try these by hand
- both modules loaded from their source folders (Edit, Application Settings, Modules), since the trainer's imports from
  the other one's folder;
- installing the extension in a fresh Slicer: the question for packages, PyTorch through its extension with and without
  an NVIDIA card, behind a proxy, and with no network at all once it is installed;
- Windows and macOS: that Cancel ends the process tree (``taskkill`` on Windows), no console window flashes up;
- GPU memory before, during and after a run (``nvidia-smi``), and a card with too little of it;
- closing Slicer's window during a run; reloading the module in developer mode; Slicer's own self-test button;
- the button in the module Sample Data; drag and drop of a DICOM study, the result under that study, and its export
  into it: two series of one study in the DICOM browser, of which the synthetic one says so in its description;
- the export of a result whose DICOM files were removed from the database, or with the DICOM module switched off;
- drawing the region of interest in a view; the Details button of an error with the log;
- 4K screens, dark style, a panel as narrow as Slicer allows; translated user interfaces.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

RUN_LIMIT_S = 900.0
STANDSTILL_S = 0.25
CANCEL_LIMIT_S = 2.0


class SelfTest:
    """The checks, in the order in which a user would work; each raises AssertionError with what is wrong."""

    def __init__(self, widget: Any, folder: Path) -> None:
        self.widget, self.folder = widget, folder
        self.measured: dict[str, Any] = {}
        self.failed: list[str] = []
        self.volume: Any = None
        self.result: Any = None
        self.former_database: str | None = None

    def run(self, checks: list[Callable[[SelfTest], None]]) -> int:
        """Run the checks and write the report; returns the exit code."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for check in checks:
            try:
                check(self)
            except Exception as error:
                traceback.print_exc()
                self.failed.append(f"{check.__name__}: {error}")
            print(
                f"{'FAILED' if self.failed and self.failed[-1].startswith(check.__name__) else 'ok':<7}{check.__name__}"
            )
        report = {"failed": self.failed, "measured": self.measured}
        (self.folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(json.dumps(report, indent=2))
        return 1 if self.failed else 0

    def wait(self) -> float:
        """Until the job has ended; returns the longest time that the event loop stood still."""
        end, last, longest = time.monotonic() + RUN_LIMIT_S, time.monotonic(), 0.0
        while self.widget.logic.translator.is_running:
            slicer.app.processEvents()
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            assert now < end, "the run did not end"
        slicer.app.processEvents()
        return longest


def packages_are_installed(test: SelfTest) -> None:
    from S2LDMTranslatePanel.setup.packages import PACKAGES

    assert not PACKAGES.missing(), f"missing: {', '.join(PACKAGES.missing())}; press Generate once and install them"


def the_sample_is_made(test: SelfTest) -> None:
    from S2LDMTranslatePanel.scene.sample_data import make_sample

    start = time.monotonic()
    test.volume = make_sample()
    test.measured["sample_s"] = round(time.monotonic() - start, 1)
    test.widget.ui.inputVolumeSelector.setCurrentNode(test.volume)
    assert test.widget.ui.arterialButton.enabled, test.widget.ui.statusLabel.text


def a_click_gives_a_result(test: SelfTest) -> None:
    ui, start = test.widget.ui, time.monotonic()
    ui.arterialButton.click()
    assert ui.cancelButton.enabled and not ui.venousButton.enabled, ui.statusLabel.text
    standstill = test.wait()
    test.measured |= {"translation_s": round(time.monotonic() - start, 1), "standstill_s": round(standstill, 3)}
    test.result = ui.resultVolumeSelector.currentNode()
    assert test.result is not None, ui.statusLabel.text
    assert test.result.GetName() == f"{test.volume.GetName()} SYNTHETIC arterial", test.result.GetName()
    assert test.result.GetAttribute("S2LDM.synthetic") == "1"
    assert standstill < STANDSTILL_S, f"the event loop stood still for {standstill:.2f} s"


def the_result_lies_beside_its_input(test: SelfTest) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = [hierarchy.GetItemByDataNode(node) for node in (test.volume, test.result)]
    parents = [hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID() for item in items]
    assert items[1] and parents[0] == parents[1], f"{items} under {parents}"


def it_is_compared(test: SelfTest) -> None:
    ui, view = test.widget.ui, test.widget.results.view
    assert view.isShown, "the comparison did not open by itself"
    for name, difference in (("compare.png", False), ("difference.png", True)):
        ui.differenceCheckBox.checked = difference
        slicer.app.processEvents()
        view.screenshot(test.folder / name)
    ui.differenceCheckBox.checked = False


def the_window_is_pictured(test: SelfTest) -> None:
    slicer.util.mainWindow().grab().save(str(test.folder / "window.png"))
    test.widget.parent.grab().save(str(test.folder / "panel.png"))


def exports_can_be_loaded(test: SelfTest) -> None:
    from S2LDMTranslatePanel.scene.result_nodes import export_result

    for suffix in (".nrrd", ".nii.gz"):
        file, sidecar = export_result(test.result, test.folder / f"result{suffix}")
        assert json.loads(sidecar.read_text(encoding="utf-8"))["synthetic"] is True
        loaded = slicer.util.loadVolume(str(file))
        same = slicer.util.arrayFromVolume(loaded) == slicer.util.arrayFromVolume(test.result)
        assert same.all(), f"{file.name} holds other values"
        slicer.mrmlScene.RemoveNode(loaded)


def a_result_goes_into_the_dicom_database(test: SelfTest) -> None:
    from DICOMLib import DICOMUtils
    from S2LDMTranslatePanel.dicom_export import DicomExport, request_of

    parameters, translator = test.widget.logic.getParameterNode(), test.widget.logic.translator
    test.former_database = DICOMUtils.openTemporaryDatabase(str(test.folder / "database"))
    parameters.addToDatabase = True
    request, start = request_of(parameters, test.folder / "dicom"), time.monotonic()
    test.widget.begin(lambda: translator.export(DicomExport(test.result, request)))
    standstill = test.wait()
    parameters.addToDatabase = False
    test.measured |= {"dicom_s": round(time.monotonic() - start, 1), "dicom_standstill_s": round(standstill, 3)}
    uids = (test.result.GetAttribute("DICOM.instanceUIDs") or "").split()
    assert len(uids) == test.result.GetImageData().GetDimensions()[2], test.widget.ui.statusLabel.text
    assert all(slicer.dicomDatabase.fileForInstance(uid) for uid in uids)
    assert slicer.dicomDatabase.instanceValue(uids[0], "0008,001C") == "YES"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(test.result))
    assert hierarchy.GetItemUID(study, "DICOM") == slicer.dicomDatabase.instanceValue(uids[0], "0020,000D")


def the_series_is_loaded_from_the_database(test: SelfTest) -> None:
    from DICOMLib import DICOMUtils
    from S2LDMTranslatePanel.scene.source_volume import reason_unavailable

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    series = hierarchy.GetItemUID(hierarchy.GetItemByDataNode(test.result), "DICOM")
    (loaded,) = (slicer.mrmlScene.GetNodeByID(node) for node in DICOMUtils.loadSeriesByUID([series]))
    same = slicer.util.arrayFromVolume(loaded) == slicer.util.arrayFromVolume(test.result)
    assert same.all(), "Slicer's DICOM plugin reads other values"
    assert "is synthetic already" in reason_unavailable(loaded), "it could be translated again"
    slicer.mrmlScene.RemoveNode(loaded)
    DICOMUtils.closeTemporaryDatabase(test.former_database)


def cancel_ends_a_run_at_once(test: SelfTest) -> None:
    ui, before = test.widget.ui, slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    ui.venousButton.click()
    while ui.progressBar.value == 0 and test.widget.logic.translator.is_running:
        slicer.app.processEvents()
    start = time.monotonic()
    ui.cancelButton.click()
    test.measured["cancel_s"] = round(time.monotonic() - start, 2)
    assert test.measured["cancel_s"] < CANCEL_LIMIT_S and ui.venousButton.enabled, ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before


def the_scene_comes_back_from_a_file(test: SelfTest) -> None:
    name, file = test.result.GetName(), test.folder / "scene.mrb"
    values = slicer.util.arrayFromVolume(test.result).copy()
    assert slicer.util.saveScene(str(file)), "the scene was not saved"
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(file))
    back = slicer.util.getNode(name)
    assert back.GetAttribute("S2LDM.phase") == "arterial" and back.GetNodeReference("S2LDM.source") is not None
    assert (slicer.util.arrayFromVolume(back) == values).all()


OUTSIDE = [
    packages_are_installed, the_sample_is_made, a_click_gives_a_result, the_result_lies_beside_its_input,
    it_is_compared, a_result_goes_into_the_dicom_database, cancel_ends_a_run_at_once,
]  # fmt: skip
CHECKS = [
    *OUTSIDE[:-1], the_series_is_loaded_from_the_database, the_window_is_pictured, exports_can_be_loaded, *OUTSIDE[-1:],
    the_scene_comes_back_from_a_file,
]  # fmt: skip


def main() -> int:
    slicer.util.selectModule("S2LDMTranslate")
    slicer.app.processEvents()
    widget = slicer.util.getModuleWidget("S2LDMTranslate")
    return SelfTest(widget, Path(sys.argv[1] if len(sys.argv) > 1 else "selftest").resolve()).run(CHECKS)


if __name__ == "__main__":
    slicer.util.exit(main())
