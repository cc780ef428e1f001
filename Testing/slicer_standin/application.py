"""``slicer.app`` and ``slicer.modules``: only what is written here exists."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from . import qt
from .views import LayoutManager, why_no_rendering


class Application:
    """``slicer.app``, in testing mode: message boxes are logged, questions answered with OK."""

    applicationName = "Slicer"
    temporaryPath = tempfile.gettempdir()

    def __init__(self, slicer: ModuleType) -> None:
        self._slicer = slicer
        self._layouts: LayoutManager | None = None
        self._qt = qt.QApplication.instance() or qt.QApplication(["Slicer"])
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._manager = ModuleManager()
        self._options = SimpleNamespace(testingEnabled=True, runPythonAndExit=False)
        self.exit_code: int | None = None
        self._connected: dict[str, list[Callable[[], None]]] = {}

    def testingEnabled(self) -> bool:
        return True

    def commandOptions(self) -> SimpleNamespace:
        return self._options

    def moduleManager(self) -> ModuleManager:
        return self._manager

    def applicationLogic(self) -> Any:
        return self._logic

    def layoutManager(self) -> LayoutManager | None:
        """Made when it is asked for, because it fills the scene with views; None, as without window, if none can be."""
        if self._layouts is None and not why_no_rendering():
            self._layouts = LayoutManager(self._slicer, self._logic)
        return self._layouts

    def processEvents(self) -> None:
        self._qt.processEvents()

    def setOverrideCursor(self, cursor: Any) -> None:
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._qt.restoreOverrideCursor()

    def translate(self, context: str, text: str) -> str:
        return text

    def exit(self, code: int) -> None:
        self.exit_code = code

    def connect(self, signal: str, function: Callable[[], None]) -> bool:
        if signal not in ("startupCompleted()", "aboutToQuit()"):
            raise AttributeError(f"no stand-in for the signal {signal!r} of slicer.app")
        self._connected.setdefault(signal, []).append(function)
        return True

    def complete_startup(self) -> None:
        """What Slicer does once, when its window is there."""
        for function in self._connected.pop("startupCompleted()", []):
            function()


class ModuleManager(qt.QObject):
    """``slicer.app.moduleManager()``."""

    moduleAboutToBeUnloaded = qt.Signal(str)


class Modules:
    """``slicer.modules``: the registered modules by lower-case name; ``plots`` is Slicer's own logic."""

    def __init__(self, slicer: ModuleType) -> None:
        plots = slicer.vtkSlicerPlotsLogic()
        plots.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        plots.SetMRMLScene(slicer.mrmlScene)
        self.plots = SimpleNamespace(logic=lambda: plots)

    def register(self, name: str, file: Path, module: ModuleType) -> None:
        """Make the module's own object, as Slicer does when it starts."""
        parent = ModuleParent(str(file))
        parent.scripted = getattr(module, name)(parent)
        setattr(self, name.lower(), parent)


class ModuleParent:
    """The qSlicerScriptedLoadableModule that a module's object describes."""

    __slots__ = (
        "acknowledgementText",
        "categories",
        "contributors",
        "dependencies",
        "helpText",
        "hidden",
        "icon",
        "path",
        "scripted",
        "title",
    )

    def __init__(self, path: str) -> None:
        self.path = path
