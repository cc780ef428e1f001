"""Rules of the whole repository that ruff and import-linter (pyproject.toml) cannot hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from S2LDMLib.about import __version__

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("S2LDMTranslate", "S2LDMTrainer")


def names(module: str, folder: str, pattern: str) -> set[str]:
    """Files of a module, as its CMakeLists.txt names them."""
    files = (file for file in (ROOT / module / folder).rglob(pattern) if file.is_file())
    return {file.relative_to(ROOT / module).as_posix() for file in files if "__pycache__" not in file.parts}


@pytest.mark.parametrize("module", MODULES)
def test_cmake_installs_every_source_and_resource_and_nothing_else(module: str) -> None:
    listed = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8").split()
    sources, resources = names(module, ".", "*.py"), names(module, "Resources", "*")
    assert [name for name in listed if name.endswith(".py")] == sorted(sources)
    assert {name for name in listed if name.startswith("Resources/")} == resources != set()
    assert names(module, ".", "*.json") <= set(listed)


def test_the_bundled_model_is_small() -> None:
    files = [file for file in (ROOT / "S2LDMTranslate/Resources/Models").rglob("*") if file.is_file()]
    assert files and sum(file.stat().st_size for file in files) < 8_000_000


def test_numpy_reads_no_pickles() -> None:
    allowing = [
        file.relative_to(ROOT).as_posix()
        for module in MODULES
        for file in (ROOT / module).rglob("*.py")
        if "allow_pickle=True" in file.read_text(encoding="utf-8")
    ]
    assert allowing == []


@pytest.mark.parametrize("library", ["S2LDMLib", "S2LDMTrainerLib"])
def test_importing_a_library_or_asking_for_help_loads_no_torch(library: str) -> None:
    code = f"import sys, {library}.commands.cli as cli; cli.build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
