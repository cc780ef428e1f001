"""The panel's sections Compare and Export: what is done with a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from S2LDMLib.errors import InputError
from S2LDMSlicerLib.errors import PanelError
from slicer.i18n import tr as _

from .compare.compare_view import LEVEL, WINDOW, CompareView
from .dicom_export import DicomExport, free_folder, request_of
from .scene.result_nodes import comes_from_dicom, export_result, is_result, source_of
from .setup.packages import ANONYMIZER, PACKAGES
from .translator import Translator

AXIAL, THREE = "Axial", "Axial, coronal and sagittal"
VIEWS = {AXIAL: "axial", THREE: "three"}


class ResultSection:
    """Wires the controls to a comparison and to files; what they show is in the parameter node.

    Args:
        ui: the panel's widgets.
        show_error: shows a PanelError or InputError to the user.
        translator: runs the export of a DICOM series.
        begin: calls what starts a job, and watches over the job.
    """

    def __init__(
        self, ui: Any, show_error: Callable[[Exception], None], translator: Translator,
        begin: Callable[[Callable[[], None]], None],
    ) -> None:  # fmt: skip
        self._ui, self._show_error = ui, show_error
        self._translator, self._begin = translator, begin
        self._parameters: Any = None
        self._shown = ("", "")  # id of the result and name of the views that were shown last
        self.view = CompareView(self.update)
        ui.showCompareButton.connect("clicked(bool)", self._on_show)
        ui.windowButton.connect("clicked(bool)", self._on_window)
        ui.exportNrrdButton.connect("clicked(bool)", lambda checked=False: self._on_export(".nrrd"))
        ui.exportNiftiButton.connect("clicked(bool)", lambda checked=False: self._on_export(".nii.gz"))
        ui.exportDicomButton.connect("clicked(bool)", self._on_export_dicom)
        ui.screenshotButton.connect("clicked(bool)", self._on_screenshot)

    def set_parameters(self, parameters: Any) -> None:
        """Follow this parameter node; None for none. A comparison that is shown stays."""
        self._parameters = parameters
        self.update()

    def update(self) -> None:
        """Make view and controls what the parameters say."""
        if self._parameters is None:
            return
        self._apply()
        result = self._parameters.resultVolume
        can_export = is_result(result)
        can_compare = can_export and source_of(result) is not None
        if self.view.isShown and can_compare and self._shown != (result.GetID(), self._parameters.compareViews):
            self.show()  # another result or other views were chosen
            return
        ui = self._ui
        ui.showCompareButton.text = _("Back to the previous layout") if self.view.isShown else _("Show comparison")
        ui.showCompareButton.enabled = self.view.isShown or can_compare
        ui.showCompareButton.toolTip = (
            _("The non-contrast CT of this result is gone.") if can_export and not can_compare else ""
        )
        ui.windowButton.enabled = ui.screenshotButton.enabled = self.view.isShown
        for button in (ui.exportNrrdButton, ui.exportNiftiButton):
            button.enabled = can_export
        ui.exportDicomButton.enabled = can_export and not self._translator.is_running
        from_dicom = can_export and comes_from_dicom(result)
        ui.anonymizeCheckBox.enabled = from_dicom
        new_study = not from_dicom or self._parameters.anonymize
        for line in (ui.patientNameLineEdit, ui.patientIdLineEdit, ui.studyDescriptionLineEdit):
            line.enabled = new_study
            line.placeholderText = _("says SYNTHETIC") if new_study else _("as in the source series")

    def show(self) -> None:
        """Compare the chosen result with what it was made from."""
        result = self._parameters.resultVolume
        self._shown = (result.GetID(), self._parameters.compareViews)
        try:
            self.view.show(source_of(result), result, VIEWS[self._parameters.compareViews])
        except InputError as error:
            self._show_error(error)
        self.update()

    def show_if_wanted(self) -> None:
        """A result is done: compare it, where the user likes that and there are views."""
        wanted = self._parameters.compareWhenDone or self.view.isShown
        if wanted and slicer.app.layoutManager() and is_result(self._parameters.resultVolume):
            self.show()

    def cleanup(self) -> None:
        """Bring back the layout."""
        self.view.cleanup()

    def _apply(self) -> None:
        parameters, view = self._parameters, self.view
        if view.blend != parameters.blend / 100:
            view.setBlend(parameters.blend / 100)
        if view.isLinked != parameters.linkedViews:
            view.setLinked(parameters.linkedViews)
        if view.isDifferenceShown != parameters.showDifference:
            try:
                view.showDifference(parameters.showDifference)
            except InputError as error:
                parameters.showDifference = False
                self._show_error(error)

    def _on_show(self, checked: bool = False) -> None:
        if self.view.isShown:
            self.view.restore()
            self.update()
        else:
            self.show()

    def _on_window(self, checked: bool = False) -> None:
        self.view.setWindowLevel(WINDOW, LEVEL)

    def _on_export(self, suffix: str) -> None:
        result = self._parameters.resultVolume
        file = _ask_file(_("Export the synthetic CT"), result.GetName() + suffix, f"(*{suffix})")
        if file is None:
            return
        file = file if file.name.lower().endswith(suffix) else file.with_name(file.name + suffix)
        try:
            written = export_result(result, file)
        except PanelError as error:
            self._show_error(error)
        else:
            self._ui.statusLabel.text = _("Written: {files}").format(files=", ".join(map(str, written)))

    def _on_export_dicom(self, checked: bool = False) -> None:
        parameters, result = self._parameters, self._parameters.resultVolume
        parent = _ask_folder(_("Export the synthetic CT as a DICOM series into a new folder in"))
        if parent is None:
            return
        request = request_of(parameters, free_folder(parent, result.GetName()))

        def begin() -> None:
            PACKAGES.ensure()
            if request.anonymize:
                ANONYMIZER.ensure()
            self._translator.export(DicomExport(result, request))

        self._begin(begin)

    def _on_screenshot(self, checked: bool = False) -> None:
        file = _ask_file(_("Save the comparison as a picture"), "S2LDM comparison.png", "(*.png)")
        if file is None:
            return
        file = file if file.suffix.lower() == ".png" else file.with_name(file.name + ".png")
        try:
            self.view.screenshot(file)
        except InputError as error:
            self._show_error(error)
        else:
            self._ui.statusLabel.text = _("Written: {files}").format(files=file)


def _ask_file(title: str, name: str, kind: str) -> Path | None:
    """A file to write; the dialog has asked before an existing one is replaced."""
    chosen = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, str(Path.home() / name), kind)
    path = chosen if isinstance(chosen, str) else chosen[0]  # PythonQt gives a text, PySide a pair
    return Path(path) if path else None


def _ask_folder(title: str) -> Path | None:
    chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, str(Path.home()))
    return Path(chosen) if chosen else None
