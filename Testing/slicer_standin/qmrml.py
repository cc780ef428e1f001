"""qMRML widgets over the real MRML scene, in plain Qt. Another one is an AttributeError here until it is written."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QWidget
from shiboken6 import isValid

from .qt import own_widget

_NONE, _ADD = "none", "add"


@own_widget
class qMRMLWidget(QWidget):
    """The root of a module's .ui file: hands the scene on to what is connected to ``mrmlSceneChanged``."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


def _option(name: str) -> Property:
    def write(self: qMRMLNodeComboBox, value: bool) -> None:
        self._options[name] = value
        self._refresh()

    return Property(bool, lambda self: self._options[name], write)


@own_widget
class qMRMLNodeComboBox(QComboBox):
    """Chooses a node of the scene; follows nodes that are added, removed and renamed."""

    currentNodeChanged = Signal(object)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._types: list[str] = []
        self._id = ""
        self._options = {"addEnabled": True, "removeEnabled": True, "renameEnabled": False, "editEnabled": False}
        self._options |= {"noneEnabled": False, "showChildNodeTypes": True, "showHidden": False}
        self._options |= {"selectNodeUponCreation": True}
        self._none_display = "None"
        self._attributes: dict[tuple[str, str], str | None] = {}
        self.activated.connect(self._on_activated)

    addEnabled = _option("addEnabled")
    removeEnabled = _option("removeEnabled")
    renameEnabled = _option("renameEnabled")
    editEnabled = _option("editEnabled")
    noneEnabled = _option("noneEnabled")
    showChildNodeTypes = _option("showChildNodeTypes")
    showHidden = _option("showHidden")
    selectNodeUponCreation = _option("selectNodeUponCreation")

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)

    def _set_none_display(self, text: str) -> None:
        self._none_display = text
        self._refresh()

    noneDisplay = Property(str, lambda self: self._none_display, _set_none_display)

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """Offer only nodes of this type that have the attribute, with this value if one is given."""
        self._attributes[node_type, name] = value
        self._refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self._refresh()

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._id) if self._scene and self._id else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        changed, self._id = node_id != self._id, node_id
        blocked = self.blockSignals(True)
        self.setCurrentIndex(self.findData(node_id or _NONE))
        self.blockSignals(blocked)
        if changed:
            self.currentNodeChanged.emit(self.currentNode())

    def addNode(self) -> Any:
        node = self._scene.AddNewNodeByClass(self._types[0])
        self.nodeAddedByUser.emit(node)
        if self._options["selectNodeUponCreation"]:
            self.setCurrentNode(node)
        return node

    def _on_activated(self, index: int) -> None:
        chosen = self.itemData(index)
        if chosen == _ADD:
            self.addNode()
        else:
            self.setCurrentNodeID("" if chosen == _NONE else chosen)

    def _nodes(self) -> list[Any]:
        count = self._scene.GetNumberOfNodes() if self._scene else 0
        return [node for node in map(self._scene.GetNthNode, range(count)) if self._accepts(node)] if count else []

    def _accepts(self, node: Any) -> bool:
        children, hidden = self._options["showChildNodeTypes"], self._options["showHidden"]
        fits = any(node.IsA(kind) if children else node.GetClassName() == kind for kind in self._types)
        return fits and (hidden or not node.GetHideFromEditors()) and self._has_attributes(node)

    def _has_attributes(self, node: Any) -> bool:
        wanted = [(name, value) for (kind, name), value in self._attributes.items() if node.IsA(kind)]
        found = [(node.GetAttribute(name), value) for name, value in wanted]
        return all(have is not None and value in (None, have) for have, value in found)

    def _refresh(self, *_: Any) -> None:
        """Fill the list again, and keep the choice where it is still there."""
        if not isValid(self):  # its panel is gone, and with it Slicer's would have stopped listening
            self._stop_observing()
            return
        nodes = self._nodes()
        self._observe(nodes)
        blocked = self.blockSignals(True)
        self.clear()
        if self._options["noneEnabled"]:
            self.addItem(self._none_display, _NONE)
        for node in nodes:
            self.addItem(node.GetName(), node.GetID())
        if self._options["addEnabled"]:
            self.addItem("Create new...", _ADD)
        self.blockSignals(blocked)
        there = [node.GetID() for node in nodes]
        first = there[0] if there and not self._options["noneEnabled"] else ""
        self.setCurrentNodeID(self._id if self._id in there else first)

    def _observe(self, nodes: list[Any]) -> None:
        self._stop_observing()
        self._observed = [(node, node.AddObserver("ModifiedEvent", self._rename)) for node in nodes]
        if self._scene:
            scene = self._scene
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent)
            self._observed += [(scene, scene.AddObserver(event, self._refresh)) for event in events]

    def _stop_observing(self) -> None:
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []

    def _rename(self, node: Any, _: str) -> None:
        if not isValid(self):
            self._stop_observing()
            return
        index = self.findData(node.GetID())
        if index >= 0:
            self.setItemText(index, node.GetName())
