"""``slicer.app.layoutManager()``: slice views rendered offscreen by the real logics and displayable managers, no Qt.

Rendering needs an OpenGL library; where there is none VTK ends the process, so ask ``why_no_rendering()`` first.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from types import ModuleType
from typing import Any

_PROBE = """
from vtkmodules.vtkRenderingCore import vtkRenderWindow
import vtkmodules.vtkRenderingOpenGL2
window = vtkRenderWindow()
window.SetOffScreenRendering(1)
window.SetSize(8, 8)
window.Render()
assert window.GetRenderingBackend()
"""
_MANAGERS = ("Model", "Crosshair", "Ruler", "ScalarBar")


@cache
def why_no_rendering() -> str:
    """Why nothing can be drawn here, for a test to skip with; empty where it can."""
    status = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True).returncode
    return f"VTK cannot draw here ({status}); on Debian it needs libegl1 and libgl1-mesa-dri" if status else ""


class LayoutManager:
    """qMRMLLayoutManager: makes the slice views of a layout when the layout node asks for them."""

    def __init__(self, slicer: ModuleType, application: Any) -> None:
        import vtk

        self._slicer = slicer
        self._application = application
        self._widgets: dict[str, SliceWidget] = {}
        application.SetSliceLogics(vtk.vtkCollection())
        application.SetViewLogics(vtk.vtkCollection())
        self._colors = slicer.vtkMRMLColorLogic()  # volumes have no grey without it
        self._colors.SetMRMLScene(slicer.mrmlScene)
        application.SetModuleLogic("Colors", self._colors)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene, True)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application)
        for name in _MANAGERS:
            full = f"vtkMRML{'ModelSlice' if name == 'Model' else name}DisplayableManager"
            if not factory.IsDisplayableManagerRegistered(full):
                factory.RegisterDisplayableManager(full)
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        slicer.mrmlScene.AddNode(crosshair)
        self._link = slicer.vtkMRMLSliceLinkLogic()  # without it, linked control does nothing
        self._link.SetMRMLApplicationLogic(application)
        self._link.SetMRMLScene(slicer.mrmlScene)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.GetLayoutNode().AddObserver(vtk.vtkCommand.ModifiedEvent, self._make_views)
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    @property
    def layout(self) -> int:
        return self._logic.GetLayoutNode().GetViewArrangement()

    def setLayout(self, layout: int) -> None:
        node = self._logic.GetLayoutNode()
        known = node.IsLayoutDescription(layout)
        node.RemoveAllMaximizedViewNodes()
        node.SetViewArrangement(layout if known else self._slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)

    def layoutLogic(self) -> Any:
        return self._logic

    def mrmlSliceLogics(self) -> Any:
        return self._application.GetSliceLogics()

    def sliceViewNames(self) -> list[str]:
        return list(self._widgets)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._widgets.get(name)

    def _make_views(self, caller: Any = None, event: str = "") -> None:
        """Views stay when another layout is shown, as in Slicer."""
        nodes = self._logic.GetViewNodes()
        for index in range(nodes.GetNumberOfItems()):
            node = nodes.GetItemAsObject(index)
            if node.IsA("vtkMRMLSliceNode") and node.GetLayoutName() not in self._widgets:
                self._widgets[node.GetLayoutName()] = SliceWidget(self._slicer, self._application, node)


class SliceWidget:
    """qMRMLSliceWidget: a view and its slice logic."""

    def __init__(self, slicer: ModuleType, application: Any, node: Any) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application)
        application.GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetSliceNode(node)
        self._view = SliceView(slicer, self._logic)

    def sliceLogic(self) -> Any:
        return self._logic

    def sliceView(self) -> SliceView:
        return self._view

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()


class SliceView:
    """qMRMLSliceView: a render window with the image of the slice logic, DataProbe's corners, and mouse and keys."""

    def __init__(self, slicer: ModuleType, logic: Any) -> None:
        import vtk

        self._logic = logic
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.AddRenderer(self._renderer)
        self._mapper = vtk.vtkImageMapper()  # the slice logic has applied window and level already
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._mapper.SetInputConnection(logic.GetImageDataConnection())
        self._image = vtk.vtkActor2D()
        self._image.SetMapper(self._mapper)
        self._image.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(self._image)
        self._corners = vtk.vtkCornerAnnotation()
        self._renderer.AddViewProp(self._corners)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.Initialize()
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), self._renderer)
        self._managers.SetMRMLDisplayableNode(logic.GetSliceNode())
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(logic)
        self._style.SetDisplayableManagers(self._managers)
        self._style.SetInteractor(self._interactor)
        self.resize(400, 400)

    def resize(self, width: int, height: int) -> None:
        self._window.SetSize(width, height)
        self._interactor.SetSize(width, height)
        self._logic.ResizeSliceNode(width, height)

    def renderWindow(self) -> Any:
        return self._window

    def interactor(self) -> Any:
        return self._interactor

    def cornerAnnotation(self) -> Any:
        return self._corners

    def forceRender(self) -> None:
        self._mapper.SetInputConnection(self._logic.GetImageDataConnection())
        self._image.SetVisibility(self._logic.HasInputs())
        self._window.Render()
