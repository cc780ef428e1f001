"""Packages at the point of use, of both modules: one question, and a clear way on where it cannot be."""

from __future__ import annotations

import logging
import sys
import tomllib
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
import slicer_standin
from packaging.requirements import Requirement

if reason := slicer_standin.why_unavailable():
    pytest.skip(reason, allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
slicer = slicer_standin.start()
sys.path += [str(ROOT / module) for module in ("S2LDMTranslate", "S2LDMTrainer") if str(ROOT / module) not in sys.path]
from S2LDMSlicerLib import dependencies  # noqa: E402
from S2LDMSlicerLib.dependencies import DependencyError, Packages  # noqa: E402
from S2LDMTrainerPanel.packages import PACKAGES as TRAINING  # noqa: E402
from S2LDMTranslatePanel.setup.packages import ANONYMIZER  # noqa: E402
from S2LDMTranslatePanel.setup.packages import PACKAGES as TRANSLATING  # noqa: E402

both = pytest.mark.parametrize("packages", [TRANSLATING, TRAINING], ids=lambda packages: packages.work)


@pytest.mark.parametrize(("packages", "extra"), [(TRANSLATING, []), (TRAINING, ["train"])], ids=["translate", "train"])
def test_requirements_are_those_of_the_package(packages: Packages, extra: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name in extra for line in project["optional-dependencies"][name]]
    wanted = {line.strip() for line in [*project["dependencies"], *extras]}
    lines = packages.requirements.read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    slicers_own = {line for line in wanted if Requirement(line).name in dependencies.KEPT}
    assert listed == wanted - slicers_own
    assert str(dependencies.TORCH) in slicers_own and len(slicers_own) == len(dependencies.KEPT)


def test_requirements_of_anonymising_are_those_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = ANONYMIZER.requirements.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == project["optional-dependencies"]["anonymize"]


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What appears to be installed, over what is."""
    changed: dict[str, str | None] = {}
    real = dependencies.installed_version
    monkeypatch.setattr(
        dependencies, "installed_version", lambda name: changed[name] if name in changed else real(name)
    )
    return changed


@both
def test_nothing_is_asked_where_nothing_is_missing(
    packages: Packages, versions: dict, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        packages.ensure()
    assert packages.missing() == [] and not caplog.records


def test_without_the_pytorch_extension_the_message_says_so(versions: dict) -> None:
    versions["torch"] = None
    with pytest.raises(DependencyError, match="PyTorch extension is not installed"):
        TRANSLATING.ensure()


def test_a_pytorch_that_is_too_old_is_named(versions: dict) -> None:
    versions["torch"] = "2.5.1"
    with pytest.raises(DependencyError, match=r"PyTorch 2\.5\.1 is too old, torch>=2\.10 is needed"):
        TRANSLATING.ensure()


def test_a_slicer_that_is_too_old_is_named(versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    versions["monai"] = None
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)  # as if it were not there
    monkeypatch.delattr(slicer, "packaging", raising=False)
    with pytest.raises(DependencyError, match=r"too old to install what is needed\. Use Slicer 5\.12 or newer"):
        TRANSLATING.ensure()


@pytest.mark.parametrize(
    ("packages", "changes", "said"),
    [
        (TRANSLATING, {"monai": None}, "Translating needs Python packages that Slicer does not have:\n\nmonai<2,>=1.6"),
        (TRAINING, {"monai": None, "accelerate": "1.0"}, "monai<2,>=1.6, accelerate<2,>=1.10"),
    ],
    ids=["translate", "train"],
)
def test_one_question_names_what_is_missing_and_how_large(
    packages: Packages, changes: dict, said: str, versions: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions |= changes
    questions, asked = [], {}
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda question, title: questions.append(question) or True
    )
    monkeypatch.setattr(slicer_standin.packaging(), "pip_ensure", lambda *args, **options: asked.update(read(options)))
    packages.ensure()
    assert len(questions) == 1
    assert said in questions[0] and f"about {packages.size}" in questions[0]
    assert asked["prompt_install"] is False
    assert {line.split("==")[0] for line in asked["constraints"]} == set(dependencies.KEPT)
    assert f"torch=={dependencies.installed_version('torch')}" in asked["constraints"]


def read(options: dict[str, Any]) -> dict[str, Any]:
    """The options of pip_ensure, with the lines of its constraints file, which is gone afterwards."""
    return {**options, "constraints": options["constraints"].read_text().split()}


@both
def test_declined_packages_start_nothing(packages: Packages, versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    versions["monai"] = None
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: False)
    with pytest.raises(DependencyError, match=f"that {packages.work} needs are not installed. Press {packages.again}"):
        packages.ensure()


def test_a_network_that_blocks_pip_leads_to_the_offline_way(versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(*_: Any, **__: Any) -> None:
        raise CalledProcessError(1, "pip")

    versions["monai"] = None
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: True)
    monkeypatch.setattr(slicer_standin.packaging(), "pip_ensure", blocked)
    with pytest.raises(DependencyError, match="HTTPS_PROXY or install the packages from files"):
        TRANSLATING.ensure()
