"""The module S2LDMTrainer: packages at the point of use, and the module run as a script."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import slicer_standin
import tiny_training
from packaging.requirements import Requirement
from trainer_panel import MODULE, ROOT, SCRIPT, dependencies, make_plan, slicer, wait_for


def test_requirements_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {line.strip() for line in [*project["dependencies"], *project["optional-dependencies"]["train"]]}
    lines = dependencies.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    slicers_own = {line for line in wanted if Requirement(line).name in dependencies.KEPT}
    assert listed == wanted - slicers_own
    assert str(dependencies.TORCH) in slicers_own and len(slicers_own) == len(dependencies.KEPT)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What appears to be installed, over what is."""
    changed: dict[str, str | None] = {}
    real = dependencies.installed_version
    monkeypatch.setattr(
        dependencies, "installed_version", lambda name: changed[name] if name in changed else real(name)
    )
    return changed


def test_nothing_is_asked_where_nothing_is_missing(versions: dict, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        dependencies.ensure_packages()
    assert dependencies.missing_packages() == [] and not caplog.records


def test_without_the_pytorch_extension_the_message_says_so(versions: dict) -> None:
    versions["torch"] = None
    with pytest.raises(dependencies.DependencyError, match="PyTorch extension is not installed"):
        dependencies.ensure_packages()


def test_a_pytorch_that_is_too_old_is_named(versions: dict) -> None:
    versions["torch"] = "2.5.1"
    with pytest.raises(dependencies.DependencyError, match=r"PyTorch 2\.5\.1 is too old, torch>=2\.10 is needed"):
        dependencies.ensure_packages()


def test_one_question_names_what_is_missing_and_how_large(versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    versions |= {"monai": None, "accelerate": "1.0"}
    questions, asked = [], {}
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda question, title: questions.append(question) or True
    )
    monkeypatch.setattr(slicer_standin.packaging(), "pip_ensure", lambda *args, **options: asked.update(read(options)))
    dependencies.ensure_packages()
    assert len(questions) == 1
    assert "monai<2,>=1.6, accelerate<2,>=1.10" in questions[0] and "about 0.1 GB" in questions[0]
    assert asked["prompt_install"] is False
    assert {line.split("==")[0] for line in asked["constraints"]} == set(dependencies.KEPT)
    assert f"torch=={dependencies.installed_version('torch')}" in asked["constraints"]


def read(options: dict[str, Any]) -> dict[str, Any]:
    """The options of pip_ensure, with the lines of its constraints file, which is gone afterwards."""
    return {**options, "constraints": options["constraints"].read_text().split()}


def test_declined_packages_start_nothing(versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    versions["monai"] = None
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: False)
    with pytest.raises(dependencies.DependencyError, match="not installed"):
        dependencies.ensure_packages()


def as_script(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """``Slicer --no-main-window --python-script S2LDMTrainer.py ...``"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "Testing")}
    command = [sys.executable, "-m", "slicer_standin", str(SCRIPT), *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=-1, stderr=-1, cwd="/", **options)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, "s2ldm-train 0."),
        (["train"], 2, "the following arguments are required"),
        (["prepare", "/nothing", "/nothing/out"], 2, "/nothing"),
    ],
    ids=["done", "usage", "input"],
)
def test_the_script_does_what_the_command_line_does(arguments: list[str], code: int, said: str) -> None:
    script = as_script(*arguments)
    direct = subprocess.run([sys.executable, "-m", "S2LDMTrainerLib", *arguments], text=True, capture_output=True)
    out, error = script.communicate(timeout=60)
    assert said in out + error
    assert script.returncode == direct.returncode == code
    assert out == direct.stdout and direct.stderr in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_script_reach_the_run(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from S2LDMTrainerPanel import headless\n"
        "headless.trainer_command = lambda arguments: [sys.executable, *arguments]\n"
        "sys.exit(headless.run_command_line(sys.argv[2:]))"
    )
    data, run = make_plan(tmp_path / "prepared", "forever"), tmp_path / "run"
    arguments = [tiny_training.__file__, "train", str(data), str(run), "--preset", "demo"]
    process = subprocess.Popen([sys.executable, "-c", code, str(MODULE), *arguments], stdout=subprocess.DEVNULL)
    wait_for(lambda: (run / "progress.jsonl").is_file())
    process.send_signal(number)
    assert process.wait(timeout=20) == 130
    assert json.loads((run / "progress.jsonl").read_text().splitlines()[-1])["event"] == "cancelled"
