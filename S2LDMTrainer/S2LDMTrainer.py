"""The module S2LDMTrainer: a small panel around ``s2ldm-train``, whose runs go on without it.

Run as a script (``Slicer --no-main-window --no-splash --python-script S2LDMTrainer.py train DATA RUN ...``) it does
what the command line does, with the same exit codes.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import qt
import slicer
import vtk
from S2LDMTrainerPanel.headless import run_command_line
from S2LDMTrainerPanel.loss_plots import LossPlots
from S2LDMTrainerPanel.packages import PACKAGES, DependencyError
from S2LDMTrainerPanel.run_monitor import RunError, RunMonitor, RunState, RunStatus
from S2LDMTrainerPanel.run_process import LIBRARY, Launcher, launch_detached
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

POLL_MS = 1000
DEFAULT_PRESET = "default"
PRESETS = sorted(
    (file.stem for file in (Path(__file__).parent / LIBRARY / "presets").glob("*.json")),
    key=lambda name: (name != DEFAULT_PRESET, name.startswith("ablation"), name),
)


class S2LDMTrainer(ScriptedLoadableModule):
    """Describes the module to Slicer."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Synthetic Contrast CT Trainer (S2LDM)")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = ["S2LDMTranslate"]
        self.parent.contributors = ["The S2LDM for 3D Slicer contributors"]
        self.parent.helpText = _(
            "Trains models that make a synthetic contrast-enhanced CT from a non-contrast CT. Prepare the data with "
            "<tt>PythonSlicer -m S2LDMTrainerLib prepare</tt>, choose a preset and a run folder, and press Start. The "
            "run goes on when this panel or Slicer is closed; choose its folder again to watch, stop or resume it. "
            "For research only, not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "The method is that of the Syncretic Latent Diffusion Model, arXiv 2406.13977. Networks and losses are "
            "built on MONAI and PyTorch."
        )


@parameterNodeWrapper
class S2LDMTrainerParameterNode:
    """
    dataFolder: the data, as ``s2ldm-train prepare`` made them.
    preset: what is trained.
    runFolder: where a new run goes, or where one is to watch, stop or resume.
    """

    dataFolder: Path = Path.home() / "S2LDM" / "prepared"
    preset: Annotated[str, Choice(PRESETS)] = DEFAULT_PRESET
    runFolder: Path = Path.home() / "S2LDM" / "run"


class S2LDMTrainerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: shows what the logic says, once a second."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: Any = None
        self._parameterNode: Any = None
        self._parameterNodeGuiTag: Any = None
        self._timer: Any = None

    def setup(self) -> None:
        """Called when the module is opened the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/S2LDMTrainer.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = S2LDMTrainerLogic()

        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.startButton.connect("clicked(bool)", self.onStartButton)
        self.ui.stopButton.connect("clicked(bool)", self.onStopButton)
        self.ui.lossCurvesButton.connect("clicked(bool)", self.onLossCurvesButton)

        self.initializeParameterNode()
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.onTimer)
        self._timer.start()

    def cleanup(self) -> None:
        """Called when the module is unloaded or reloaded; a run goes on."""
        self._timer.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the module is opened."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time another module is opened; loss curves keep growing."""
        self.setParameterNode(None)

    def onSceneStartClose(self, caller: Any, event: str) -> None:
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any, event: str) -> None:
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Ensure that a parameter node exists and is observed."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, inputParameterNode: Any) -> None:
        """Observe this parameter node instead of the last one; None for none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanStart)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanStart)
            self._checkCanStart()

    def onTimer(self) -> None:
        """Look what the run has done since the last time."""
        if self._parameterNode:
            self._checkCanStart()
        else:
            self.logic.update()

    def onStartButton(self, checked: bool = False) -> None:
        """Start a run, or resume that of the run folder."""
        try:
            PACKAGES.ensure()
            self.logic.start(self._parameterNode.dataFolder, self._parameterNode.preset)
        except (RunError, DependencyError) as error:
            slicer.util.errorDisplay(str(error))
        self._checkCanStart()

    def onStopButton(self, checked: bool = False) -> None:
        """Ask the run to write a checkpoint and end."""
        try:
            self.logic.stop()
        except RunError as error:
            slicer.util.errorDisplay(str(error))
        self._checkCanStart()

    def onLossCurvesButton(self, checked: bool = False) -> None:
        self.logic.showLossCurves()

    def _checkCanStart(self, caller: Any = None, event: str = "") -> None:
        """Show the run of the chosen folder, and what can be done with it."""
        self.logic.openRun(self._parameterNode.runFolder)
        state = self.logic.update()
        reason = self.logic.reason_unavailable(self._parameterNode.dataFolder, state)
        self.ui.startButton.text = _("Resume") if self.logic.canResume else _("Start")
        self.ui.startButton.enabled = not reason
        self.ui.startButton.toolTip = reason
        self.ui.presetComboBox.enabled = not self.logic.canResume
        self.ui.stopButton.enabled = state.is_running
        if state.status is RunStatus.STOPPING:
            self.ui.stopButton.text = _("Stop at once")
            self.ui.stopButton.toolTip = _("Do not wait for the checkpoint; the steps since the last one are lost.")
        else:
            self.ui.stopButton.text = _("Stop")
            self.ui.stopButton.toolTip = _("Stop after this step with a checkpoint, from which it can be resumed.")
        self.ui.lossCurvesButton.enabled = self.logic.lossCurves is not None
        self.ui.progressBar.maximum = state.steps or 1
        self.ui.progressBar.value = state.step
        self.ui.statusLabel.text = statusText(state, reason)
        self._showLog(self.logic.log())

    def _showLog(self, text: str) -> None:
        """Keep the last line in sight, unless somebody has scrolled back to read."""
        log, bar = self.ui.logTextEdit, self.ui.logTextEdit.verticalScrollBar()
        if log.plainText == text:
            return
        position, atEnd = bar.value, bar.value == bar.maximum
        log.setPlainText(text)
        bar.setValue(bar.maximum if atEnd else position)


def statusText(state: RunState, reason: str) -> str:
    """What people want to know about a run; with the reason why it cannot be started, where that is news."""
    if state.status is RunStatus.EMPTY:
        return reason or _("Ready to start.")
    if state.status is RunStatus.RUNNING:
        if not state.stage:
            return _("Starting...")
        where = _("{stage}: step {step} of {steps}").format(stage=state.stage, step=state.step, steps=state.steps)
        return where + remainingText(state.remaining_s)
    text = {
        RunStatus.STOPPING: _("Stopping after this step, with a checkpoint..."),
        RunStatus.DONE: _("Done. The model is in {message}"),
        RunStatus.FAILED: _("Failed. {message}"),
        RunStatus.CANCELLED: _("Stopped. It can go on from its last checkpoint."),
        RunStatus.INTERRUPTED: _(
            "Interrupted without a word, as by a power cut. It can go on from its last checkpoint."
        ),
    }[state.status].format(message=state.message)
    has_news = state.status not in (RunStatus.STOPPING, RunStatus.DONE)
    return f"{text}\n{reason}".strip() if has_news else text.strip()


def remainingText(seconds: float | None) -> str:
    """The remaining time, as precise as it can be known."""
    if seconds is None:
        return ""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return _(", about {hours} h {minutes} min left").format(hours=hours, minutes=minutes)
    return _(", about {minutes} min left").format(minutes=minutes) if minutes else _(", less than a minute left")


class S2LDMTrainerLogic(ScriptedLoadableModuleLogic):
    """Watches and steers one run folder and its loss curves, without Qt."""

    def __init__(self, launch: Launcher = launch_detached) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._launch = launch
        self._monitor: Any = None
        self._plots = LossPlots(slicer.mrmlScene)

    def getParameterNode(self) -> Any:
        parameterNode = S2LDMTrainerParameterNode(super().getParameterNode())
        if parameterNode.preset not in PRESETS:  # the scene was saved with another version
            parameterNode.preset = DEFAULT_PRESET
        return parameterNode

    @property
    def canResume(self) -> bool:
        """Whether the folder holds a run, so that starting means going on."""
        return self._monitor.can_resume

    @property
    def lossCurves(self) -> Any:
        """The chart of the stage that is trained, None before its first values."""
        return self._plots.chart(self._monitor.stage)

    def openRun(self, runFolder: Path) -> None:
        """Watch the run in this folder from now on, wherever it was started."""
        if self._monitor is None or self._monitor.run != runFolder:
            self._monitor = RunMonitor(runFolder, self._launch)
            self._plots.remove()

    def update(self) -> RunState:
        """Take in what the run has written; make curves again that were lost with a closed scene."""
        if self._monitor.is_outdated() or not self._plots.is_complete():
            self._plots.remove()
            self._monitor.read_again()
        self._plots.add(self._monitor.read())
        return self._monitor.state()

    def reason_unavailable(self, dataFolder: Path, state: RunState) -> str:
        """Why no run can be started in this state; empty where one can."""
        return self._monitor.reason_unavailable(dataFolder, state)

    def start(self, dataFolder: Path, preset: str) -> None:
        """Start or resume a run in the opened folder; raises RunError where it cannot be started."""
        self._monitor.start(dataFolder, preset)

    def stop(self) -> None:
        """Ask the run to stop after this step, asked again at once; raises RunError where none goes on here."""
        self._monitor.stop()

    def log(self) -> str:
        """The last lines of the run's log."""
        return self._monitor.log_tail()

    def showLossCurves(self) -> None:
        """Show the losses of the stage that is trained in a layout with a plot view."""
        slicer.modules.plots.logic().ShowChartInLayout(self.lossCurves)


class S2LDMTrainerTest(ScriptedLoadableModuleTest):
    """What can be tested in Slicer without training: see Testing/panel/trainer for the rest."""

    def runTest(self) -> None:
        slicer.mrmlScene.Clear()
        self.test_an_empty_folder_is_ready_for_a_run()

    def test_an_empty_folder_is_ready_for_a_run(self) -> None:
        logic = S2LDMTrainerLogic()
        logic.openRun(Path(slicer.app.temporaryPath) / "S2LDMTrainerTest")
        self.assertIs(logic.update().status, RunStatus.EMPTY)
        self.assertIsNone(logic.lossCurves)
        self.assertIn(DEFAULT_PRESET, PRESETS)
        self.delayDisplay("Test passed")


if __name__ == "__main__":
    slicer.util.exit(run_command_line(sys.argv[1:]))
