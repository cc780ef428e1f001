"""What the tests of the module S2LDMTranslate share: the loaded module, volumes, and jobs on real processes.

Importing it skips the test file where slicer-core or Qt cannot be had.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer_standin
import tiny_engine
from panel_waiting import wait_for

if reason := slicer_standin.why_unavailable():
    pytest.skip(reason, allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
slicer = slicer_standin.start()
import vtk  # noqa: E402

module = slicer_standin.load_module(ROOT / "S2LDMTranslate" / "S2LDMTranslate.py", "S2LDMTranslate")
from S2LDMTranslatePanel.jobs.engine_process import EngineProcess  # noqa: E402
from S2LDMTranslatePanel.jobs.job import JobStatus  # noqa: E402
from S2LDMTranslatePanel.translator import Translator  # noqa: E402

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS and RAS
VOLUME = "vtkMRMLScalarVolumeNode"


def tiny(end: str) -> Callable[[Sequence[str]], EngineProcess]:
    """Starts the engine that ends in this way."""
    return lambda arguments: EngineProcess(arguments, [sys.executable, tiny_engine.__file__, end])


class CopyingEngine:
    """An engine within this process that finds no fault and gives the input back as the result."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments, self.log = arguments, ["$ s2ldm " + arguments[0]]

    def events(self) -> Iterator[dict[str, Any]]:
        if self.arguments[0] == "translate":
            shutil.copyfile(*self.arguments[1:3])
        yield {}

    def kill(self) -> None:
        """There is no process to end."""


def ijk_to_ras(image: sitk.Image) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return FLIP @ matrix


def add_volume(image: sitk.Image, name: str = "CT") -> Any:
    return slicer.util.addVolumeFromArray(sitk.GetArrayFromImage(image), ijk_to_ras(image), name)


def matrix_of(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def add_transform(matrix: np.ndarray) -> Any:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return transform


def add_bent_transform() -> Any:
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    points = [vtk.vtkPoints() for _ in range(2)]
    for corner in np.ndindex(2, 2, 2):
        place = np.array(corner) * 100.0
        points[0].InsertNextPoint(place)
        points[1].InsertNextPoint(place + (5.0 if corner == (1, 1, 1) else 0.0))
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    transform.SetAndObserveTransformToParent(spline)
    return transform


def count_volumes() -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass(VOLUME)


@contextmanager
def opened_panels() -> Iterator[Callable[..., Any]]:
    """Opens panels over the real engine, one that ends as it is told, or any other; without pictures."""
    initial, poll_ms = module.S2LDMTranslateLogic.__init__, module.POLL_MS
    panels, real = [], initial.__defaults__
    module.POLL_MS = 20

    def open_panel(engine: str | Callable[..., Any] = "") -> Any:
        initial.__defaults__ = (tiny(engine) if isinstance(engine, str) else engine,) if engine else real
        panel = slicer_standin.open_panel(module)
        panel.ui.compareWhenDoneCheckBox.checked = False
        panels.append(panel)
        return panel

    try:
        yield open_panel
    finally:
        initial.__defaults__, module.POLL_MS = real, poll_ms
        for panel in panels:
            slicer_standin.close_panel(panel)


def run_to_end(panel: Any, seconds: float = 120) -> float:
    """Let the panel's timer work until its job has ended; returns the longest CPU time that the event loop was busy."""
    longest = 0.0

    def is_done() -> bool:
        nonlocal longest
        start = time.thread_time()
        slicer.app.processEvents()
        longest = max(longest, time.thread_time() - start)
        return not panel.logic.translator.is_running

    wait_for(is_done, seconds)
    return longest


def finish(translator: Translator, seconds: float = 120) -> Any:
    """Wait for the end of a job, as the panel does; returns its last state."""
    wait_for(lambda: not translator.update().is_running, seconds)
    return translator.update()


@contextmanager
def clean_scene() -> Iterator[None]:
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


@contextmanager
def temporary_path(folder: Path) -> Iterator[Path]:
    """Slicer's temporary folder, empty, for a while."""
    before = slicer.app.temporaryPath
    folder.mkdir(exist_ok=True)
    slicer.app.temporaryPath = str(folder)
    try:
        yield folder
    finally:
        slicer.app.temporaryPath = before


def is_asking(translator: Translator) -> bool:
    return translator.update().status is JobStatus.ASKING
