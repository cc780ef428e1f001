"""Typed parameters in a vtkMRMLScriptedModuleNode, bound to widgets that carry ``SlicerParameterName``.

A widget is accepted for a type only where Slicer accepts it (its ``guiConnectors.py``); another pair is a RuntimeError.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer

__all__ = ["Choice", "Maximum", "Minimum", "WithinRange", "parameterNodeWrapper"]


@dataclass(frozen=True)
class Choice:
    choices: list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} to {self.maximum}")


@dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is below {self.minimum}")


@dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is above {self.maximum}")


@dataclass(frozen=True)
class _Parameter:
    name: str
    kind: type
    limits: tuple[Any, ...]
    default: Any

    @property
    def is_node(self) -> bool:
        return self.kind.__name__.startswith("vtkMRML")

    def read(self, node: Any) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        if self.is_node:
            node.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        if not isinstance(value, self.kind) and not (self.kind is float and isinstance(value, int)):
            raise TypeError(f"{self.name} must be {self.kind.__name__}, not {value!r}")
        for limit in self.limits:
            limit.validate(value)
        node.SetParameter(self.name, str(value))


def parameterNodeWrapper(wrapped: type) -> type:
    """Class decorator: the annotated fields become properties of a scripted module node."""
    parameters = [_parameter(wrapped, *item) for item in typing.get_type_hints(wrapped, include_extras=True).items()]
    for each in parameters:
        setattr(wrapped, each.name, _property(each))
    wrapped.__init__ = _construct(parameters)
    for method in (_connect_gui, _disconnect_gui, _add_observer, _remove_observer, _has_observer, _set_value):
        words = method.__name__.strip("_").split("_")
        name = words[0] + "".join(word.capitalize() for word in words[1:])
        setattr(wrapped, {"addObserver": "AddObserver", "removeObserver": "RemoveObserver"}.get(name, name), method)
    wrapped.__setattr__ = _refuse_unknown
    return wrapped


def _parameter(wrapped: type, name: str, hint: Any) -> _Parameter:
    kind, *limits = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
    if kind not in (str, bool, int, float, Path) and not kind.__name__.startswith("vtkMRML"):
        raise TypeError(f"no stand-in for parameters of {kind}")
    empty = None if kind.__name__.startswith("vtkMRML") else kind()
    return _Parameter(name, kind, tuple(limits), getattr(wrapped, name, empty))


def _property(parameter: _Parameter) -> property:
    return property(
        lambda self: parameter.read(self.parameterNode),
        lambda self, value: parameter.write(self.parameterNode, value),
    )


def _construct(parameters: list[_Parameter]) -> Callable[..., None]:
    def construct(self: Any, parameterNode: Any) -> None:
        vars(self).update(
            parameterNode=parameterNode, _connections={}, _parameters={each.name: each for each in parameters}
        )
        for each in parameters:
            if not each.is_node and not parameterNode.GetParameter(each.name):
                each.write(parameterNode, each.default)

    return construct


def _refuse_unknown(self: Any, name: str, value: Any) -> None:
    if not isinstance(getattr(type(self), name, None), property):
        raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
    object.__setattr__(self, name, value)


def _set_value(self: Any, name: str, value: Any) -> None:
    if name not in self._parameters:
        raise ValueError(f"Cannot find a param with the given name: {name}")
    setattr(self, name, value)


def _add_observer(self: Any, event: Any, function: Callable[..., None], priority: float = 0.0) -> int:
    return self.parameterNode.AddObserver(event, function, priority)


def _remove_observer(self: Any, tag: int) -> None:
    self.parameterNode.RemoveObserver(tag)


def _has_observer(self: Any, event: Any) -> bool:
    return bool(self.parameterNode.HasObserver(event))


def _connect_gui(self: Any, gui: Any) -> int:
    """Fill the widgets from the parameters, and keep both the same from now on; returns what disconnects them."""
    links = []
    for widget in list(vars(gui).values()) if not hasattr(gui, "isWidgetType") else gui.findChildren(qt.QWidget):
        name = widget.property("SlicerParameterName")
        if name:
            if name not in self._parameters:
                raise ValueError(f"Cannot find a param with the given name: {name}")
            links.append(_Link(self, self._parameters[name], widget))
    tag = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: [link.show() for link in links])
    self._connections[tag] = links
    return tag


def _disconnect_gui(self: Any, tag: int) -> None:
    for link in self._connections.pop(tag, []):
        link.disconnect()
    self.parameterNode.RemoveObserver(tag)


class _Link:
    """One widget and one parameter."""

    def __init__(self, wrapper: Any, parameter: _Parameter, widget: Any) -> None:
        self.wrapper, self.parameter, self.widget = wrapper, parameter, widget
        self.read, self.write, signal = _access(parameter, widget)
        self.signal = getattr(widget, signal)
        self.showing = False
        self.show()
        self.signal.connect(self.store)

    def show(self) -> None:
        self.showing = True
        try:
            self.write(getattr(self.wrapper, self.parameter.name))
        finally:
            self.showing = False

    def store(self, *_: Any) -> None:
        if not self.showing:
            setattr(self.wrapper, self.parameter.name, self.read())

    def disconnect(self) -> None:
        self.signal.disconnect(self.store)


def _access(parameter: _Parameter, widget: Any) -> tuple[Callable[[], Any], Callable[[Any], None], str]:
    """Reader, writer and signal of a widget for a type."""
    kind, made = parameter.kind, type(widget)

    def attribute(name: str, convert: type, shown: type, signal: str) -> tuple[Any, Any, str]:
        return lambda: convert(getattr(widget, name)), lambda value: setattr(widget, name, shown(value)), signal

    if kind is bool and made in (qt.QCheckBox, qt.QPushButton):
        return attribute("checked", bool, bool, "toggled")
    if (kind, made) in ((int, qt.QSpinBox), (int, qt.QSlider), (float, qt.QDoubleSpinBox)):
        for limit in parameter.limits:
            for name in ("minimum", "maximum"):
                if hasattr(limit, name):
                    setattr(widget, name, getattr(limit, name))
        return attribute("value", kind, kind, "valueChanged")
    if kind is str and made is qt.QLineEdit:
        return attribute("text", str, str, "textChanged")
    if kind is Path and made is ctk.ctkPathLineEdit:
        return attribute("currentPath", Path, str, "currentPathChanged")
    if made is qt.QComboBox and kind in (str, int, float):
        return _choice_access(parameter, widget)
    if parameter.is_node and made is slicer.qMRMLNodeComboBox:
        widget.nodeTypes = [kind.__name__]
        return widget.currentNode, widget.setCurrentNode, "currentNodeChanged"
    raise RuntimeError(f"Unable to create GUI connector from datatype '{kind}' to widget type '{made}'")


def _choice_access(parameter: _Parameter, widget: Any) -> tuple[Callable[[], Any], Callable[[Any], None], str]:
    choices = next((limit.choices for limit in parameter.limits if isinstance(limit, Choice)), None)
    if choices is None:
        raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
    widget.clear()
    for choice in choices:
        widget.addItem(str(choice))

    def write(value: Any) -> None:
        widget.currentIndex = choices.index(value)  # ValueError where it is not there, as in Slicer

    return lambda: choices[widget.currentIndex], write, "currentIndexChanged"
