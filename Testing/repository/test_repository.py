"""Rules of the code base that no single module can watch over."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = {"S2LDMTranslate": "S2LDMLib", "S2LDMTrainer": "S2LDMTrainerLib"}


def sources(module: str) -> list[Path]:
    return sorted((ROOT / module / LIBRARIES[module]).rglob("*.py"))


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("module", LIBRARIES)
def test_every_source_is_installed_by_cmake(module: str) -> None:
    listed = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8").split()
    assert [name for name in listed if name.endswith(".py")] == [
        file.relative_to(ROOT / module).as_posix() for file in sorted((ROOT / module).rglob("*.py"))
    ]


def test_every_file_of_the_bundled_model_is_installed_by_cmake() -> None:
    folder = ROOT / "S2LDMTranslate"
    files = {file.relative_to(folder).as_posix() for file in (folder / "Resources").rglob("*") if file.is_file()}
    listed = set((folder / "CMakeLists.txt").read_text(encoding="utf-8").split())
    assert files and files <= listed


def test_the_bundled_model_is_small() -> None:
    files = [file for file in (ROOT / "S2LDMTranslate/Resources/Models").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 8_000_000


@pytest.mark.parametrize("file", [*sources("S2LDMTranslate"), *sources("S2LDMTrainer")], ids=lambda file: file.name)
def test_the_engine_knows_nothing_of_slicer(file: Path) -> None:
    assert not imported(file) & {"slicer", "qt", "ctk", "vtk"}


@pytest.mark.parametrize("file", sources("S2LDMTranslate"), ids=lambda file: file.name)
def test_the_translating_side_knows_nothing_of_the_trainer(file: Path) -> None:
    assert "S2LDMTrainerLib" not in imported(file)


def test_importing_the_library_or_asking_for_help_loads_no_torch() -> None:
    code = "import sys, S2LDMLib, S2LDMLib.commands.cli as c; c.build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("file", [*sources("S2LDMTranslate"), *sources("S2LDMTrainer")], ids=lambda file: file.name)
def test_nothing_loads_pickles(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "torch.load" not in text and "allow_pickle=True" not in text and "pickle" not in imported(file)
