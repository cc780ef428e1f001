"""What Slicer asks of a scripted module's files, of both modules."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import slicer_standin

if reason := slicer_standin.why_unavailable():
    pytest.skip(reason, allow_module_level=True)

slicer = slicer_standin.start()
ROOT = Path(__file__).resolve().parents[2]
MODULES = ("S2LDMTranslate", "S2LDMTrainer")
# What Slicer has; the rest of the extension, which is found once all modules are; nothing that pip installs.
SLICERS = {"slicer", "vtk", "qt", "ctk", "numpy", "SimpleITK", "packaging", "pydicom"} | sys.stdlib_module_names
OURS = {
    "S2LDMTranslate": {"S2LDMTranslatePanel", "S2LDMSlicerLib", "S2LDMLib"},
    "S2LDMTrainer": {"S2LDMTrainerPanel", "S2LDMSlicerLib"},
}


def script(module: str) -> Path:
    return ROOT / module / f"{module}.py"


def files(module: str) -> list[Path]:
    """The module script, its panel, and what both modules share."""
    folders = (ROOT / module / f"{module}Panel", ROOT / "S2LDMTranslate" / "S2LDMSlicerLib")
    return [script(module), *sorted(file for folder in folders for file in folder.rglob("*.py"))]


def imported(body: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return names


def libraries(module: str) -> set[str]:
    """Files of the engine that the module imports at file scope, and those that they import there in turn."""
    waiting = {name for file in files(module) for name in imported(ast.parse(file.read_text(encoding="utf-8")).body)}
    waiting = {name for name in waiting if name.startswith("S2LDMLib")}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        path = ROOT / "S2LDMTranslate" / Path(*name.split("."))
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                package = name if file.name == "__init__.py" else name.rpartition(".")[0]
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                waiting |= {f"{package}.{node.module}"} - seen
    return seen


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_imported_at_file_scope_that_slicer_lacks(module: str) -> None:
    for file in files(module):
        names = imported(ast.parse(file.read_text(encoding="utf-8")).body)
        assert {name.partition(".")[0] for name in names} <= SLICERS | OURS[module], file.name
    for name in libraries(module):
        path = ROOT / "S2LDMTranslate" / Path(*name.split("."))
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        names = imported(ast.parse(file.read_text(encoding="utf-8")).body)
        assert {each.partition(".")[0] for each in names} <= SLICERS, name


@pytest.mark.parametrize("module", MODULES)
def test_only_the_module_script_lies_in_the_module_folder(module: str) -> None:
    assert [file.name for file in (ROOT / module).glob("*.py")] == [f"{module}.py"]


@pytest.mark.parametrize("module", MODULES)
def test_no_name_of_slicer_util_is_used_as_one_of_slicer(module: str) -> None:
    """slicer-core shows them as slicer.*, and a real Slicer does not."""
    leaks = {name for name in dir(slicer.util) if not name.startswith(("vtk", "_")) and not hasattr(slicer, name)}
    assert {"arrayFromVolume", "errorDisplay"} <= leaks
    for file in files(module):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "slicer":
                assert node.attr not in leaks, f"{file.name}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.module == "slicer":
                assert not {alias.name for alias in node.names} & leaks, f"{file.name}:{node.lineno}"


@pytest.mark.parametrize("module", MODULES)
def test_every_widget_in_the_code_is_in_the_ui_file_and_every_parameter_has_a_widget(module: str) -> None:
    root = ElementTree.parse(ROOT / module / "Resources" / "UI" / f"{module}.ui").getroot()
    widgets = {widget.get("name") for widget in root.iter("widget")}
    text = "\n".join(file.read_text(encoding="utf-8") for file in files(module))
    used = set(re.findall(r"\b_?ui\.(\w+)", text))
    assert used and used <= widgets
    bound = [found.findtext("string") for found in root.iter("property") if found.get("name") == "SlicerParameterName"]
    loaded = sys.modules.get(module) or slicer_standin.load_module(script(module), module)
    assert sorted(bound) == sorted(getattr(loaded, f"{module}ParameterNode").__annotations__)


@pytest.mark.parametrize("module", MODULES)
def test_every_widget_class_that_is_not_qts_is_declared_in_the_ui_file(module: str) -> None:
    root = ElementTree.parse(ROOT / module / "Resources" / "UI" / f"{module}.ui").getroot()
    used = {widget.get("class") for widget in root.iter("widget") if not widget.get("class", "").startswith("Q")}
    assert used == {found.findtext("class") for found in root.iter("customwidget")}


@pytest.mark.parametrize("module", MODULES)
def test_every_file_of_the_module_is_installed_by_cmake(module: str) -> None:
    listed = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8").split()
    resources = [file for file in (ROOT / module / "Resources").rglob("*") if file.is_file()]
    presets = (ROOT / module / f"{module}Lib" / "presets").glob("*.json")
    own = [file for file in files(module) if file.is_relative_to(ROOT / module)]
    for file in [*own, *resources, *presets]:
        assert listed.count(file.relative_to(ROOT / module).as_posix()) == 1, file.name


def test_no_file_of_one_module_lies_where_the_other_has_one() -> None:
    """An installed extension keeps the files of all its modules in one folder."""
    lists = [set((ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8").split()) for module in MODULES]
    assert {word for word in lists[0] & lists[1] if "/" in word or word.endswith(".py")} == set()


@pytest.mark.parametrize("module", MODULES)
def test_the_icon_is_as_large_as_the_catalog_asks(module: str) -> None:
    if module not in sys.modules:
        slicer_standin.load_module(script(module), module)
    parent = getattr(slicer.modules, module.lower())
    assert not parent.icon.isNull() and parent.icon.availableSizes()[0].toTuple() == (128, 128)
