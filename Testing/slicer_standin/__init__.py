"""A strict stand-in for what Slicer adds to slicer-core, so that a scripted module runs in tests; see README.md.

::

    slicer = slicer_standin.start()
    module = slicer_standin.load_module(file, "MyModule")
    widget = slicer_standin.open_panel(module)

The scene, its nodes and ``slicer.util`` are Slicer's own, from the wheel ``slicer-core``; widgets are Qt's own, from
``PySide6-Essentials``; only the glue is ours.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_MISSING = str(Path(__file__).parent / "missing")
_MODULES = str(Path(__file__).parent / "modules")


def why_unavailable() -> str:
    """Why no module can be opened here, for a test to skip with; empty where it can."""
    _work_without_display()
    for package, source in (("slicer_core", "slicer-core"), ("PySide6.QtWidgets", "PySide6-Essentials")):
        try:
            importlib.import_module(package)
        except ImportError as error:  # not installed, or a library of the system is missing
            return f"{source} cannot be loaded for Python {sys.version_info[0]}.{sys.version_info[1]}: {error}"
    return ""


def start() -> ModuleType:
    """Complete the package ``slicer`` once in this process, with an empty scene; returns it."""
    _work_without_display()
    import slicer

    if hasattr(slicer, "app"):
        return slicer
    from . import ctk, qmrml, qt
    from .application import Application, Modules
    from .dicom import DicomDatabase

    sys.modules.update(qt=qt, ctk=ctk)
    _hide_leaks(slicer)
    slicer.__path__.append(_MISSING)
    sys.path.append(_MODULES)
    for name, kind in vars(qmrml).items():
        if name.startswith("qMRML"):
            setattr(slicer, name, kind)
    slicer.mrmlScene = slicer.vtkMRMLScene()
    slicer.dicomDatabase = DicomDatabase()
    slicer.app = Application(slicer)
    slicer.modules = Modules(slicer)
    return slicer


def open_panel(module: ModuleType) -> Any:
    """Open the panel of a loaded module as Slicer does; returns its Widget object."""
    slicer = start()
    from . import qt

    parent = slicer.qMRMLWidget()
    parent.setLayout(qt.QVBoxLayout())
    parent.setMRMLScene(slicer.mrmlScene)
    widget = getattr(module, f"{module.__name__}Widget")(EnteredParent(parent))
    widget.setup()
    widget.enter()
    return widget


def close_panel(widget: Any) -> None:
    """What Slicer does with a panel when it ends."""
    widget.cleanup()
    widget.parent.widget.findChild(start().qMRMLWidget).setMRMLScene(None)  # its selectors let go of the scene


def packaging() -> ModuleType:
    """``slicer.packaging``."""
    start()
    return importlib.import_module("slicer.packaging")


def load_module(file: Path, name: str) -> ModuleType:
    """Import a module script under its name and register it with ``slicer.modules``; returns the Python module."""
    slicer = start()
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    slicer.modules.register(name, file, module)
    return module


class EnteredParent:
    """The qSlicerScriptedLoadableModuleWidget around a panel: its layout, and ``isEntered``."""

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.isEntered = True

    def layout(self) -> Any:
        return self.widget.layout()


def _work_without_display() -> None:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if sys.platform == "linux":
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


def _hide_leaks(slicer: ModuleType) -> None:
    """slicer-core shows the functions of ``slicer.util`` as ``slicer.*``; a real Slicer has no such names."""
    for name in dir(slicer.util):
        if getattr(slicer, name, None) is getattr(slicer.util, name) and not name.startswith(("vtk", "_")):
            delattr(slicer, name)
