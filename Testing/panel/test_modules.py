"""What Slicer asks of a scripted module's files, of both modules."""

from __future__ import annotations

import ast
import os
import re
import subprocess
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


def script(module: str) -> Path:
    return ROOT / module / f"{module}.py"


def files(module: str) -> list[Path]:
    """The module script, its panel, and what both modules share."""
    folders = (ROOT / module / f"{module}Panel", ROOT / "S2LDMTranslate" / "S2LDMSlicerLib")
    return [script(module), *sorted(file for folder in folders for file in folder.rglob("*.py"))]


IN_A_BARE_SLICER = """
import importlib, importlib.abc, pkgutil, sys
from pathlib import Path
lacking, slicers = {"PIL", "tqdm"}, set()  # pydicom takes these where they are
class SlicersAlone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in lacking or (slicers and top not in slicers and not name.startswith("S2LDM")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, SlicersAlone())
import numpy, packaging.requirements, pydicom, SimpleITK, slicer_standin, vtk
slicer = slicer_standin.start()
slicers |= {name.partition(".")[0] for name in sys.modules} | sys.stdlib_module_names
assert not slicers & {"torch", "monai", "huggingface_hub", "safetensors", "einops", "filelock", "jinja2", "accelerate"}
translate, trainer = (slicer_standin.load_module(Path(file), Path(file).stem) for file in sys.argv[1:])
for package in ("S2LDMSlicerLib", "S2LDMTranslatePanel", "S2LDMTrainerPanel"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(found.name)
panel = slicer_standin.open_panel(translate)
slicer.util.addVolumeFromArray(numpy.zeros((8, 16, 16), numpy.int16), name="CT")
assert panel.ui.statusLabel.text == "Ready." and panel.ui.arterialButton.enabled, panel.ui.statusLabel.text
panel.ui.modelKindComboBox.currentText = translate.HUB_KIND
panel.ui.modelRepositoryLineEdit.text = "lab/model"
assert panel.ui.statusLabel.text.endswith("Press Download."), panel.ui.statusLabel.text
panel.cleanup()
slicer_standin.open_panel(trainer).cleanup()
assert "S2LDMTrainerLib" not in sys.modules
"""


def test_both_panels_open_in_a_slicer_that_has_nothing_of_what_pip_installs() -> None:
    paths = os.pathsep.join(map(str, (ROOT / "S2LDMTranslate", ROOT / "S2LDMTrainer", ROOT / "Testing")))
    command = [sys.executable, "-c", IN_A_BARE_SLICER, *(str(script(module)) for module in MODULES)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
def test_every_file_that_is_no_source_is_installed_by_cmake(module: str) -> None:
    listed = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8").split()
    resources = [file for file in (ROOT / module / "Resources").rglob("*") if file.is_file()]
    presets = (ROOT / module / f"{module}Lib" / "presets").glob("*.json")
    for file in [*resources, *presets]:
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
