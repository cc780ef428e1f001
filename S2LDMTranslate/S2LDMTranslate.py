"""The module S2LDMTranslate: a synthetic contrast-enhanced CT from a non-contrast CT, by one click."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import qt
import slicer
import vtk
from S2LDMSlicerLib.errors import PanelError
from S2LDMTranslatePanel.jobs.engine_process import EngineProcess, Start
from S2LDMTranslatePanel.jobs.job import JobState, JobStatus
from S2LDMTranslatePanel.jobs.translation_job import TranslationJob, TranslationRequest
from S2LDMTranslatePanel.result_section import AXIAL, VIEWS, ResultSection
from S2LDMTranslatePanel.scene.region_box import place_region, region_of
from S2LDMTranslatePanel.scene.result_nodes import KIND, RESULT_KIND
from S2LDMTranslatePanel.scene.sample_data import make_sample, register_sample_data
from S2LDMTranslatePanel.scene.source_volume import hardened_copy, has_nonlinear_transform, reason_unavailable
from S2LDMTranslatePanel.setup.model_choice import BUNDLED_KIND, FOLDER_KIND, HUB_KIND, KINDS, ModelChoice, ModelFacts
from S2LDMTranslatePanel.setup.packages import PACKAGES, packages_of
from S2LDMTranslatePanel.texts import end_text, running_text
from S2LDMTranslatePanel.translator import Translator
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

POLL_MS = 100
PHASES = ("arterial", "venous")
AUTO = "auto"


class S2LDMTranslate(ScriptedLoadableModule):
    """Describes the module to Slicer."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Synthetic Contrast CT (S2LDM)")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["The S2LDM for 3D Slicer contributors"]
        self.parent.helpText = _(
            "Makes a synthetic contrast-enhanced CT (arterial or venous phase) from a non-contrast CT. Load the CT, "
            "press <b>Generate arterial phase</b>, and compare. The result is invented by a model and shows no real "
            "contrast medium: for research only, not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "The method is that of the Syncretic Latent Diffusion Model, arXiv 2406.13977. The networks are built on "
            "MONAI and PyTorch."
        )
        slicer.app.connect("startupCompleted()", register_sample_data)


@parameterNodeWrapper
class S2LDMTranslateParameterNode:
    """
    inputVolume, resultVolume: the CT that is translated, and the result that is compared and exported.
    modelFolder, modelRepository, modelRevision: count only for their modelKind.
    outputVolume: a former result to replace; None for a new volume. region: None for the whole volume.
    steps: 0 for the model's own number.
    blend: percent of the synthetic volume over the input.
    addToDatabase and what follows: how a result is exported as a DICOM series; empty texts for the engine's own.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    resultVolume: vtkMRMLScalarVolumeNode
    modelKind: Annotated[str, Choice(list(KINDS))] = BUNDLED_KIND
    modelFolder: Path = Path.home() / "S2LDM" / "run" / "model"
    modelRepository: str = ""
    modelRevision: str = ""
    offline: bool = False
    outputVolume: vtkMRMLScalarVolumeNode
    region: vtkMRMLMarkupsROINode
    detail: Annotated[str, Choice([AUTO, "native", "model"])] = AUTO
    steps: Annotated[int, WithinRange(0, 1000)] = 0
    seed: Annotated[int, WithinRange(0, 999999)] = 0
    samples: Annotated[int, WithinRange(1, 32)] = 1
    device: Annotated[str, Choice([AUTO, "cpu", "cuda", "mps"])] = AUTO
    precision: Annotated[str, Choice([AUTO, "float32", "bfloat16", "float16"])] = AUTO
    compareViews: Annotated[str, Choice(list(VIEWS))] = AXIAL
    compareWhenDone: bool = True
    linkedViews: bool = True
    showDifference: bool = False
    blend: Annotated[int, WithinRange(0, 100)] = 100
    addToDatabase: bool = False
    burnIn: bool = False
    anonymize: bool = False
    patientName: str = ""
    patientId: str = ""
    studyDescription: str = ""


class S2LDMTranslateWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows what the logic says, ten times a second while a job runs."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self.results: Any = None
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: Any = None
        self._timer: Any = None
        self._observedInput: Any = None
        self._asking = False

    def setup(self) -> None:
        """Called when the module is opened the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/S2LDMTranslate.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        for selector in (self.ui.resultVolumeSelector, self.ui.outputVolumeSelector):
            selector.addAttribute("vtkMRMLScalarVolumeNode", KIND, RESULT_KIND)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = S2LDMTranslateLogic()
        self.results = ResultSection(self.ui, self._showError, self.logic.translator, self.begin)

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.arterialButton.connect("clicked(bool)", lambda checked=False: self.onGenerateButton("arterial"))
        self.ui.venousButton.connect("clicked(bool)", lambda checked=False: self.onGenerateButton("venous"))
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self.ui.downloadButton.connect("clicked(bool)", self.onDownloadButton)
        self.ui.regionSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onRegionAdded)

        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.onTimer)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the module is unloaded or reloaded, and when Slicer ends: a job ends with it."""
        self._timer.stop()
        self.logic.translator.cancel()
        self.results.cleanup()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the module is opened."""
        self.logic.forgetModel()  # its folder may have changed meanwhile
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time another module is opened; a job goes on."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller: Any, event: str) -> None:
        self.logic.translator.cancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: str) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Ensure that a parameter node exists and is observed, and choose an input where none is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = self.logic.likelyInput()

    def setParameterNode(self, inputParameterNode: Any) -> None:
        """Observe this parameter node instead of the last one; None for none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanGenerate)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanGenerate)
            self._checkCanGenerate()
        else:
            self._observeInput(None)
        self.results.set_parameters(inputParameterNode)

    def onGenerateButton(self, phase: str) -> None:
        """Translate the input into this phase."""
        self.begin(lambda: self._generate(phase))

    def onDownloadButton(self, checked: bool = False) -> None:
        """Fetch the chosen model from the Hub."""
        self.begin(self._download)

    def onCancelButton(self, checked: bool = False) -> None:
        """End the job."""
        self.logic.translator.cancel()
        self._timer.stop()
        self._showLog()
        self._onJobEnd(JobState(JobStatus.CANCELLED))

    def onRegionAdded(self, region: Any) -> None:
        """A new region starts over the middle of the input."""
        if self._parameterNode.inputVolume:
            place_region(region, self._parameterNode.inputVolume)

    def onTimer(self) -> None:
        """Look what the job has done since the last time, and ask what it asks."""
        wasRunning = self.logic.translator.is_running
        state = self.logic.translator.update()
        if state and state.status is JobStatus.ASKING and not self._asking:
            self._asking = True  # the dialog lets this timer go on
            self.logic.translator.answer(slicer.util.confirmYesNoDisplay(state.message, self.moduleName))
            self._asking = False
        self._showLog()
        if not self.logic.translator.is_running:
            self._timer.stop()
        if wasRunning and not state.is_running:
            self._onJobEnd(state)
        elif self._parameterNode:
            self._checkCanGenerate()

    def begin(self, start: Callable[[], None]) -> None:
        """Call what starts a job, and watch over the job; where it cannot start, the PanelError is shown."""
        try:
            start()
        except PanelError as error:
            self._showError(error)
        else:
            self._timer.start()
            self._checkCanGenerate()

    def _download(self) -> None:
        PACKAGES.ensure()
        self.logic.download(self._parameterNode)

    def _generate(self, phase: str) -> None:
        packages_of(self.logic.modelFacts(self._parameterNode).kind).ensure()
        node = self._parameterNode.inputVolume
        if node and has_nonlinear_transform(node):
            question = _("{name} lies under a non-linear transform. Translate a copy with the transform hardened?")
            if not slicer.util.confirmOkCancelDisplay(question.format(name=node.GetName()), self.moduleName):
                raise PanelError(_("Nothing was translated. Choose another volume, or let a copy be hardened."))
            self._parameterNode.inputVolume = hardened_copy(node)
        self.logic.start(self._parameterNode, phase)

    def _onJobEnd(self, state: JobState) -> None:
        translator = self.logic.translator
        isTranslation = isinstance(translator.job, TranslationJob)
        if not isTranslation:
            self.logic.forgetModel()
        if state.status is JobStatus.DONE and isTranslation:
            self.logic.getParameterNode().resultVolume = translator.result
        if self._parameterNode:
            if state.status is JobStatus.DONE and isTranslation:
                self.results.show_if_wanted()
            self._checkCanGenerate()
        self.ui.progressBar.value = 0
        if state.status is JobStatus.FAILED:
            self._showError(PanelError(state.message), translator.log())
        else:
            self.ui.statusLabel.text = end_text(state, translator)

    def _checkCanGenerate(self, caller: Any = None, event: str = "") -> None:
        """Show what can be done now, and why not."""
        self._observeInput(self._parameterNode.inputVolume)
        running = self.logic.translator.is_running
        obstacles = {phase: self.logic.reason_unavailable(self._parameterNode, phase) for phase in PHASES}
        for phase, button in (("arterial", self.ui.arterialButton), ("venous", self.ui.venousButton)):
            button.enabled = not obstacles[phase]
            button.toolTip = obstacles[phase]
        self.ui.cancelButton.enabled = running
        state = self.logic.translator.state if running else None
        self.ui.progressBar.value = round(100 * state.fraction) if state else 0
        text = running_text(state) if state and state.is_running else min(obstacles.values()) or _("Ready.")
        if self.ui.statusLabel.text != text:
            self.ui.statusLabel.text = text
        self._showModel(running)
        self.results.update()

    def _observeInput(self, node: Any) -> None:
        """A volume is chosen as soon as it is in the scene, and gets its voxels only then."""
        event = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        if node is self._observedInput:
            return
        if self._observedInput:
            self.removeObserver(self._observedInput, event, self._checkCanGenerate)
        self._observedInput = node
        if node:
            self.addObserver(node, event, self._checkCanGenerate)

    def _showModel(self, running: bool) -> None:
        kind = self._parameterNode.modelKind
        self.ui.modelFolderPathLineEdit.enabled = kind == FOLDER_KIND
        onHub = kind == HUB_KIND
        self.ui.modelRepositoryLineEdit.enabled = self.ui.modelRevisionLineEdit.enabled = onHub
        self.ui.offlineCheckBox.enabled = onHub
        self.ui.downloadButton.enabled = onHub and not running and not self._parameterNode.offline
        try:
            facts = self.logic.modelFacts(self._parameterNode)
            self.ui.modelLabel.text, self.ui.modelLabel.toolTip = facts.summary, facts.folder
        except PanelError as error:
            facts = None
            self.ui.modelLabel.text, self.ui.modelLabel.toolTip = str(error), ""
        vary = facts is not None and self.logic.samplesDiffer(self._parameterNode, facts)
        self.ui.seedSpinBox.enabled = self.ui.samplesSpinBox.enabled = vary
        fixed = _("With this number of steps the model gives the same result for every seed; choose more steps.")
        self.ui.seedSpinBox.toolTip = (
            _("The same seed gives the same noise, and so the same result.") if vary else fixed
        )
        several = _("With 2 or more, the result is their mean, and a second volume holds their standard deviation.")
        self.ui.samplesSpinBox.toolTip = several if vary else fixed

    def _showLog(self) -> None:
        log = self.logic.translator.log()
        if self.ui.logTextEdit.plainText != log:
            self.ui.logTextEdit.setPlainText(log)

    def _showError(self, error: Exception, log: str = "") -> None:
        self.ui.statusLabel.text = str(error)
        details = {"detailedText": log} if log else {}
        slicer.util.errorDisplay(str(error), self.moduleName, **details)


class S2LDMTranslateLogic(ScriptedLoadableModuleLogic):
    """Makes jobs of the parameters, without Qt."""

    def __init__(self, start: Start = EngineProcess) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.translator = Translator(start)
        self._facts: dict[ModelChoice, ModelFacts | PanelError] = {}

    def getParameterNode(self) -> Any:
        return S2LDMTranslateParameterNode(super().getParameterNode())

    def likelyInput(self) -> Any:
        """The volume that is looked at, if it can be translated; else the first one that can, or None."""
        active = slicer.app.applicationLogic().GetSelectionNode().GetActiveVolumeID()
        candidates = [slicer.mrmlScene.GetNodeByID(active)] if active else []
        candidates += slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return next((node for node in candidates if not reason_unavailable(node)), None)

    def modelFacts(self, parameters: Any) -> ModelFacts:
        """What the chosen model is; raises PanelError where it is not on this computer or damaged."""
        choice = modelChoice(parameters)
        if choice not in self._facts:
            try:
                self._facts[choice] = choice.facts()
            except PanelError as error:
                self._facts[choice] = error
        found = self._facts[choice]
        if isinstance(found, PanelError):
            raise found
        return found

    def forgetModel(self) -> None:
        """Look at the model's files anew the next time."""
        self._facts.clear()

    @staticmethod
    def samplesDiffer(parameters: Any, facts: ModelFacts) -> bool:
        """Whether the result depends on the seed."""
        return (parameters.steps or facts.steps) >= facts.samples_differ_from

    def reason_unavailable(self, parameters: Any, phase: str) -> str:
        """Why this phase cannot be generated now; empty where it can."""
        if self.translator.is_running:
            return _("A job is running. Wait for its end, or cancel it.")
        if reason := reason_unavailable(parameters.inputVolume):
            return reason
        try:
            facts = self.modelFacts(parameters)
        except PanelError as error:
            return str(error)
        if phase not in facts.phases:
            return _("The model does not offer the {phase} phase. Choose another model.").format(phase=phase)
        if parameters.detail == "native" and not facts.can_native:
            return _("The model has no native detail. Choose auto or model.")
        return ""

    def start(self, parameters: Any, phase: str) -> None:
        """Begin to translate; raises PanelError where that cannot be."""
        if reason := self.reason_unavailable(parameters, phase):
            raise PanelError(reason)
        facts = self.modelFacts(parameters)
        request = TranslationRequest(
            phase=phase,
            model=facts.argument,
            steps=parameters.steps,
            seed=parameters.seed,
            device=parameters.device,
            precision=parameters.precision,
            detail=parameters.detail,
            region=region_of(parameters.region, parameters.inputVolume),
            samples=parameters.samples if self.samplesDiffer(parameters, facts) else 1,
        )
        self.translator.start(parameters.inputVolume, request, parameters.outputVolume)

    def download(self, parameters: Any) -> None:
        """Begin to fetch the chosen model from the Hub; raises PanelError where none is named."""
        self.translator.download(modelChoice(parameters).on_hub)


def modelChoice(parameters: Any) -> ModelChoice:
    """The model that the parameters name; what does not count for its kind is left out."""
    kind = parameters.modelKind
    if kind == FOLDER_KIND:
        return ModelChoice(kind, folder=parameters.modelFolder)
    if kind == HUB_KIND:
        return ModelChoice(kind, repository=parameters.modelRepository, revision=parameters.modelRevision)
    return ModelChoice(kind)


class S2LDMTranslateTest(ScriptedLoadableModuleTest):
    """What can be tested in Slicer without translating: see Testing/panel/slicer_selftest.py for the rest."""

    def runTest(self) -> None:
        slicer.mrmlScene.Clear()
        self.test_the_sample_can_be_translated_by_the_bundled_model()

    def test_the_sample_can_be_translated_by_the_bundled_model(self) -> None:
        logic = S2LDMTranslateLogic()
        parameters = logic.getParameterNode()
        self.assertIn("Load a non-contrast CT", logic.reason_unavailable(parameters, "arterial"))
        parameters.inputVolume = make_sample()
        for phase in PHASES:
            self.assertEqual(logic.reason_unavailable(parameters, phase), "")
        self.assertIs(logic.likelyInput(), parameters.inputVolume)
        self.delayDisplay("Test passed")
