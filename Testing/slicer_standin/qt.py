"""`qt` as PythonQt shows it, over PySide6: what works here works in Slicer, and what Slicer refuses is refused here.

- Qt properties are attributes: ``label.text``, ``button.enabled = False``. Their setters work too: ``setText("x")``.
- ``name`` is the objectName.
- ``widget.connect("clicked(bool)", function)`` beside ``widget.clicked.connect(function)``.
- An unknown attribute, signal or property raises, also where PythonQt only prints.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

if sys.version_info < (3, 12):
    # PySide6 6.12 gives back more references to these than it takes, which does no harm where they are immortal:
    # from Python 3.12 on. Before, a long test session would end with "deallocating None".
    for _constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(_constant)).value += 1 << 40

for _library in (QtCore, QtGui, QtWidgets, QtUiTools):
    # dir(), because PySide6 makes its types only when they are asked for
    globals().update({name: getattr(_library, name) for name in dir(_library) if not name.startswith("_")})

# Virtual functions that Qt calls by the name of a property: they stay methods.
_METHODS = {"sizeHint", "minimumSizeHint", "hasHeightForWidth", "heightForWidth", "metaObject", "event"}
_own_widgets: dict[str, type] = {}


def own_widget(kind: type) -> type:
    """Class decorator: a stand-in for a widget that is not Qt's, which .ui files may name."""
    _patch(kind)
    _own_widgets[kind.__name__] = kind
    return kind


def connect(source: Any, signal: str, *target: Any) -> bool:
    """``source.connect("signal(types)", function)``, or with a receiver and the name of its slot."""
    function = target[0] if len(target) == 1 else getattr(target[0], target[1].partition("(")[0])
    _signal(source, signal).connect(function)
    return True


def disconnect(source: Any, signal: str, *target: Callable[..., Any]) -> bool:
    """The reverse of :func:`connect`."""
    return _signal(source, signal).disconnect(*target)


def _signal(source: Any, signature: str) -> Any:
    """The bound signal; its types must be those of Qt, but a stand-in's own signals go by their name."""
    name = signature.partition("(")[0]
    meta = source.metaObject()
    known = {bytes(meta.method(index).name()).decode() for index in _signals(meta)}
    exact = meta.indexOfSignal(QtCore.QMetaObject.normalizedSignature(signature).toStdString()) >= 0
    if name not in known or not (exact or type(source) in _own_widgets.values()):
        raise AttributeError(f"{type(source).__name__} has no signal {signature!r}")
    return getattr(source, name)


def _signals(meta: QtCore.QMetaObject) -> list[int]:
    kind = QtCore.QMetaMethod.MethodType.Signal
    return [index for index in range(meta.methodCount()) if meta.method(index).methodType() == kind]


def _property(name: str) -> property:
    def read(self: Any) -> Any:
        return self.property(name)

    def write(self: Any, value: Any) -> None:
        if not self.setProperty(name, value):
            raise TypeError(f"{type(self).__name__}.{name} cannot be {value!r}")

    return property(read, write)


def _patch(kind: type) -> None:
    """Properties instead of getters, and no attributes but these."""
    if "__init__" in vars(kind):
        kind.__init__ = _constructor(kind.__init__)
    meta = kind.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name not in _METHODS and not isinstance(vars(kind).get(name), QtCore.Property):
            setattr(kind, name, _property(name))
    kind.__setattr__ = _assign


def _find(kind: type, name: str) -> Any:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _is_property(kind: type, name: str) -> bool:
    return name in _METHODS or isinstance(_find(kind, name), property | QtCore.Property)


def _assign(self: Any, name: str, value: Any) -> None:
    """Properties can be assigned, and the private attributes of a stand-in; everything else raises as in PythonQt."""
    kind, found = type(self), _find(type(self), name)
    if isinstance(found, property):
        found.__set__(self, value)
    elif isinstance(found, QtCore.Property):
        self.setProperty(name, value)
    elif isinstance(value, QtWidgets.QWidget) and value.objectName == name:
        return  # PySide6's QUiLoader hangs children on the top widget; Slicer's does not
    elif isinstance(value, QtCore.SignalInstance) or (name.startswith("_") and kind in _own_widgets.values()):
        vars(self)[name] = value  # signals: PySide6 keeps them on the object
    else:
        raise AttributeError(f"{kind.__name__} has no attribute {name!r} that can be assigned")


def _constructor(original: Callable[..., None]) -> Callable[..., None]:
    def construct(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        _connectable(self)

    return construct


def _connectable(thing: Any) -> Any:
    # PySide6 finds its own connect before one of the class, so ours lies on the object.
    vars(thing).setdefault("connect", lambda *args: connect(thing, *args))
    vars(thing).setdefault("disconnect", lambda *args: disconnect(thing, *args))
    return thing


def _classes() -> Iterator[type]:
    waiting, seen = [QtCore.QObject], set()
    while waiting:
        kind = waiting.pop()
        if kind not in seen:
            seen.add(kind)
            waiting += kind.__subclasses__()
            yield kind


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file strictly: an unknown widget, property, signal, slot or a name used twice raises."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        if class_name not in _own_widgets:
            return _connectable(super().createWidget(class_name, parent, name))
        widget = _own_widgets[class_name](parent)
        widget.setObjectName(name)
        return widget

    def load(self, device: Any, parent: Any = None) -> Any:
        root = ElementTree.fromstring(bytes(device.readAll()))
        _check_ui(root)
        links = [[link.findtext(part) for part in ("sender", "signal", "receiver", "slot")] for link in _links(root)]
        flags = _take_flags(root)
        for found in root.findall("connections"):
            root.remove(found)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        top = super().load(buffer, parent)
        if top is None:
            raise RuntimeError(self.errorString())
        widgets = {top.objectName: top, **{child.objectName: child for child in top.findChildren(QtCore.QObject)}}
        for name, attribute, value in flags:
            setattr(widgets[name], attribute, value)
        for sender, signal, receiver, slot in links:
            connect(widgets[sender], signal, getattr(widgets[receiver], slot.partition("(")[0]))
        return top


def _links(root: ElementTree.Element) -> list[ElementTree.Element]:
    return list(root.iterfind("connections/connection"))


def _check_ui(root: ElementTree.Element) -> None:
    """Raise for what Qt's own loader would pass over in silence."""
    known = {**{name: globals().get(name) for name in QtUiTools.QUiLoader().availableWidgets()}, **_own_widgets}
    names: set[str] = set()
    for widget in root.iter("widget"):
        kind, name = widget.get("class", ""), widget.get("name", "")
        if kind not in known:
            raise RuntimeError(f"widget {name!r}: no stand-in for {kind}")
        if name in names:
            raise RuntimeError(f"two widgets are called {name!r}")
        names.add(name)
        for value in widget.findall("property"):
            if value.get("stdset") != "0" and not _is_property(known[kind], value.get("name", "")):
                raise RuntimeError(f"widget {name!r}: {kind} has no property {value.get('name')!r}")
    for link in _links(root):
        for end in ("sender", "receiver"):
            if link.findtext(end) not in names:
                raise RuntimeError(f"a connection names the missing widget {link.findtext(end)!r}")


def _take_flags(root: ElementTree.Element) -> list[tuple[str, str, str]]:
    """Flags of widgets that are not Qt's, ``ctkX::A|ctkX::B``: Qt's loader knows no such enumeration."""
    taken = []
    for widget in root.iter("widget"):
        for value in widget.findall("property"):
            if widget.get("class") in _own_widgets and value.find("set") is not None:
                taken.append((widget.get("name", ""), value.get("name", ""), value.findtext("set", "")))
                widget.remove(value)
    return taken


for _kind in list(_classes()):
    if _kind.__module__.startswith("PySide6"):
        _patch(_kind)
QtCore.QObject.className = lambda self: self.metaObject().className()
QtCore.QObject.name = property(lambda self: self.property("objectName"), lambda self, name: self.setObjectName(name))
