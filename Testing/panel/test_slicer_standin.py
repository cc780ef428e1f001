"""The stand-in for Slicer refuses what Slicer would refuse, or pass over in silence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import slicer_standin

if reason := slicer_standin.why_unavailable():
    pytest.skip(reason, allow_module_level=True)

slicer = slicer_standin.start()
import ctk  # noqa: E402
import qt  # noqa: E402
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper  # noqa: E402

UI = """<ui version="4.0"><widget class="qMRMLWidget" name="top"><layout class="QVBoxLayout" name="layout"><item>
<widget class="{kind}" name="{name}"><property name="{property}"><string>x</string></property>
<property name="SlicerParameterName" stdset="0"><string>{parameter}</string></property></widget></item><item>
<widget class="QLabel" name="other"/></item></layout></widget>
<connections><connection><sender>top</sender><signal>{signal}</signal><receiver>{receiver}</receiver>
<slot>setFocus()</slot></connection></connections></ui>"""
GOOD = {"kind": "QLineEdit", "name": "edit", "property": "text", "parameter": "word"}
GOOD |= {"signal": "mrmlSceneChanged(vtkMRMLScene*)", "receiver": "other"}


@pytest.fixture(autouse=True)
def empty_scene() -> Iterator[None]:
    yield
    slicer.mrmlScene.Clear(0)


def load(folder: Path, **changes: str) -> Any:
    """The widgets of a small .ui file."""
    file = folder / "panel.ui"
    file.write_text(UI.format(**{**GOOD, **changes}))
    top = slicer.util.loadUI(str(file))
    ui = slicer.util.childWidgetVariables(top)
    ui.keep = top
    return ui


def test_properties_are_attributes_and_setters_work_too() -> None:
    button = qt.QPushButton("Start")
    button.text, button.enabled = "Stop", False
    assert (button.text, button.enabled, button.name) == ("Stop", False, "")
    button.setText("Go")
    assert button.text == "Go"


@pytest.mark.parametrize(
    "use",
    [
        lambda button: setattr(button, "txet", "x"),
        lambda button: setattr(button, "setText", "x"),
        lambda button: button.txet,
        lambda button: button.connect("clikced()", print),
        lambda button: button.connect("clicked(int)", print),
        lambda button: setattr(ctk.ctkPathLineEdit(), "path", "x"),
        lambda button: ctk.ctkNothing,
        lambda button: slicer.qMRMLNothing,
        lambda button: slicer.app.nothing,
        lambda button: slicer.modules.nothing,
        lambda button: slicer.arrayFromVolume,
    ],
)
def test_what_does_not_exist_raises(use: Callable[[Any], Any]) -> None:
    with pytest.raises(AttributeError):
        use(qt.QPushButton())


def test_signals_connect_in_both_ways() -> None:
    button, heard = qt.QPushButton(), []
    button.connect("clicked(bool)", lambda on: heard.append("one"))
    button.clicked.connect(lambda: heard.append("two"))
    button.click()
    assert heard == ["one", "two"]


def test_a_ui_file_gives_its_widgets_by_name(tmp_path: Path) -> None:
    ui = load(tmp_path)
    assert ui.edit.text == "x" and ui.edit.property("SlicerParameterName") == "word"


@pytest.mark.parametrize(
    "change",
    [{"kind": "ctkNothing"}, {"kind": "QNothing"}, {"name": "other"}, {"property": "txet"}, {"receiver": "nobody"}],
    ids=lambda change: next(iter(change)),
)
def test_a_ui_file_with_a_mistake_raises(change: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        load(tmp_path, **change)


def test_a_ui_file_with_an_unknown_signal_raises(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="no signal"):
        load(tmp_path, signal="nothing()")


@parameterNodeWrapper
class Parameters:
    word: str = "first"
    size: Annotated[int, WithinRange(1, 9)] = 5
    preset: Annotated[str, Choice(["a", "b"])] = "a"
    volume: slicer.vtkMRMLScalarVolumeNode


@pytest.fixture
def parameters() -> Any:
    return Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_a_widget_and_its_parameter_follow_each_other(parameters: Any, tmp_path: Path) -> None:
    ui = load(tmp_path)
    tag = parameters.connectGui(ui)
    assert ui.edit.text == "first"
    ui.edit.text = "typed"
    assert parameters.word == "typed"
    parameters.word = "set"
    assert ui.edit.text == "set"
    parameters.disconnectGui(tag)
    ui.edit.text = "alone"
    assert parameters.word == "set"


def test_parameters_refuse_what_does_not_fit(parameters: Any, tmp_path: Path) -> None:
    for name, value in (("size", 10), ("preset", "c")):
        with pytest.raises(ValueError):
            setattr(parameters, name, value)
    with pytest.raises(TypeError):
        parameters.word = 3
    with pytest.raises(AttributeError):
        parameters.wrod = "x"
    with pytest.raises(ValueError, match="Cannot find a param"):
        parameters.connectGui(load(tmp_path, parameter="wrod"))
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        parameters.connectGui(load(tmp_path, parameter="size"))
    with pytest.raises(RuntimeError, match="requires the Choice annotation"):
        parameters.connectGui(load(tmp_path, kind="QComboBox", property="toolTip", parameter="word"))


def test_a_node_selector_follows_the_scene(parameters: Any, tmp_path: Path) -> None:
    ui = load(tmp_path, kind="qMRMLNodeComboBox", property="toolTip", parameter="volume")
    ui.edit.noneEnabled = True
    ui.edit.setMRMLScene(slicer.mrmlScene)
    parameters.connectGui(ui)
    first, second = (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in ("one", "two"))
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "no volume")
    assert [ui.edit.itemText(index) for index in range(ui.edit.count)] == ["None", "one", "two", "Create new..."]
    ui.edit.setCurrentNode(second)
    assert parameters.volume is second
    parameters.volume = first
    assert ui.edit.currentNode() is first
    first.SetName("renamed")
    assert ui.edit.currentText == "renamed"
    slicer.mrmlScene.RemoveNode(first)
    assert ui.edit.currentNode() is None and parameters.volume is None


def test_a_node_selector_offers_only_nodes_with_the_attribute(tmp_path: Path) -> None:
    ui = load(tmp_path, kind="qMRMLNodeComboBox", property="toolTip", parameter="")
    ui.edit.nodeTypes, ui.edit.noneEnabled, ui.edit.noneDisplay = ["vtkMRMLScalarVolumeNode"], True, "Nothing"
    ui.edit.setMRMLScene(slicer.mrmlScene)
    for name, value in (("one", "a"), ("two", "b"), ("three", None)):
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name).SetAttribute("kind", value)
    ui.edit.addAttribute("vtkMRMLScalarVolumeNode", "kind", "b")
    assert [ui.edit.itemText(index) for index in range(ui.edit.count)] == ["Nothing", "two", "Create new..."]
    ui.edit.addAttribute("vtkMRMLScalarVolumeNode", "kind")
    assert ui.edit.count == 4


def test_what_waits_for_the_start_is_called_once_when_it_is_complete() -> None:
    heard: list[str] = []
    slicer.app.connect("startupCompleted()", lambda: heard.append("started"))
    slicer.app.complete_startup()
    slicer.app.complete_startup()
    assert heard == ["started"]


def test_packages_are_checked_against_their_bounds(tmp_path: Path) -> None:
    packaging = slicer_standin.packaging()
    file = tmp_path / "requirements.txt"
    file.write_text("# ours\n-r other.txt\npytest>=1\n")
    assert packaging.pip_check(packaging.load_requirements(file))
    file.write_text("pytest>=1000\nno-such-package\n")
    assert [packaging.pip_check([each]) for each in packaging.load_requirements(file)] == [False, False]


def test_a_script_that_does_not_end_slicer_is_told_of(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys, slicer\nif sys.argv[1:]: slicer.util.exit(int(sys.argv[1]))\n")
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "slicer_standin", str(script)]
    ended, left_open = (
        subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.DEVNULL)
        for arguments in (["7"], [])
    )
    assert (ended.wait(30), left_open.wait(30)) == (7, 99)
