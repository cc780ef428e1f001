"""Packages at the point of use, of both modules: one question, and a clear way on where it cannot be."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
import slicer_standin
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if reason := slicer_standin.why_unavailable():
    pytest.skip(reason, allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
slicer = slicer_standin.start()
sys.path += [str(ROOT / module) for module in ("S2LDMTranslate", "S2LDMTrainer") if str(ROOT / module) not in sys.path]
from S2LDMSlicerLib import dependencies  # noqa: E402
from S2LDMSlicerLib.dependencies import REQUIREMENTS, DependencyError, Packages, read_requirements  # noqa: E402
from S2LDMTrainerPanel.packages import PACKAGES as TRAINING  # noqa: E402
from S2LDMTranslatePanel.setup.packages import ANONYMIZER, PAPER_PACKAGES, packages_of  # noqa: E402
from S2LDMTranslatePanel.setup.packages import PACKAGES as TRANSLATING  # noqa: E402

ALL = (TRANSLATING, PAPER_PACKAGES, TRAINING, ANONYMIZER)
each = pytest.mark.parametrize("packages", ALL, ids=lambda packages: packages.work)


def test_every_package_stands_in_one_list_alone_and_every_list_is_asked_for() -> None:
    lists = {file.name: read_requirements(file.name) for file in REQUIREMENTS.iterdir()}
    names = [canonicalize_name(line.name) for lines in lists.values() for line in lines]
    assert names and len(names) == len(set(names))
    assert set(lists) == {"Slicer.txt", *(name for packages in ALL for name in packages.requirements)}
    assert {line.name for line in lists["Slicer.txt"]} == {"torch", "numpy", "SimpleITK"}


@each
def test_what_is_asked_for_is_pytorch_and_the_union_of_the_lists(packages: Packages, versions: dict) -> None:
    listed = [line for name in packages.requirements for line in read_requirements(name)]
    versions |= {line.name: None for line in [*dependencies.KEPT.values(), *listed]}
    assert packages.missing() == [str(line) for line in (dependencies.TORCH, *listed)]


def test_training_needs_all_that_a_model_of_the_paper_does_and_only_that_model_needs_monai() -> None:
    assert set(TRANSLATING.requirements) < set(PAPER_PACKAGES.requirements) < set(TRAINING.requirements)
    assert (packages_of("residual_x0"), packages_of("paper")) == (TRANSLATING, PAPER_PACKAGES)
    assert {line.name for line in read_requirements("Paper.txt")} == {"monai", "einops"}


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What appears to be installed, over what is."""
    changed: dict[str, str | None] = {}
    real = dependencies.installed_version
    monkeypatch.setattr(
        dependencies, "installed_version", lambda name: changed[name] if name in changed else real(name)
    )
    return changed


@each
def test_nothing_is_asked_where_nothing_is_missing(
    packages: Packages, versions: dict, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        packages.ensure()
    assert packages.missing() == [] and not caplog.records


def test_without_the_pytorch_extension_the_message_says_so(versions: dict) -> None:
    versions["torch"] = None
    with pytest.raises(DependencyError, match="PyTorch extension"):
        TRANSLATING.ensure()


def test_a_pytorch_that_is_too_old_is_named(versions: dict) -> None:
    versions["torch"] = "2.5.1"
    with pytest.raises(DependencyError, match=rf"2\.5\.1 is too old, {dependencies.TORCH}"):
        TRANSLATING.ensure()


def test_a_slicer_that_is_too_old_is_named(versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    versions["safetensors"] = None
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)  # as if it were not there
    monkeypatch.delattr(slicer, "packaging", raising=False)
    with pytest.raises(DependencyError, match=r"Use Slicer 5\.12"):
        TRANSLATING.ensure()


@pytest.mark.parametrize(
    ("packages", "changes", "said"),
    [
        (TRANSLATING, {"safetensors": None, "monai": None}, "\n\nsafetensors>=0.6.1\n"),
        (PAPER_PACKAGES, {"safetensors": None, "monai": None}, "\n\nsafetensors>=0.6.1, monai<2,>=1.6\n"),
        (TRAINING, {"monai": None, "accelerate": "1.0"}, "\n\nmonai<2,>=1.6, accelerate<2,>=1.10\n"),
    ],
    ids=["translate", "paper", "train"],
)
def test_one_question_names_what_is_missing_and_how_large(
    packages: Packages, changes: dict, said: str, versions: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions |= changes
    questions, asked = [], {}
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda question, title: questions.append(question) or True
    )

    def pip_ensure(requirements: list[Requirement], constraints: Path, **options: Any) -> None:
        asked.update(options, requirements=requirements, constraints=constraints.read_text().split())

    monkeypatch.setattr(slicer_standin.packaging(), "pip_ensure", pip_ensure)
    packages.ensure()
    assert len(questions) == 1
    assert said in questions[0] and f"about {packages.size}" in questions[0]
    assert asked["prompt_install"] is False
    assert asked["requirements"] == [line for name in packages.requirements for line in read_requirements(name)]
    assert {line.split("==")[0] for line in asked["constraints"]} == set(dependencies.KEPT)
    assert f"torch=={dependencies.installed_version('torch')}" in asked["constraints"]


@each
def test_declined_packages_start_nothing(packages: Packages, versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    versions[read_requirements(packages.requirements[-1])[0].name] = None
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: False)
    with pytest.raises(DependencyError, match=f"{packages.work} needs are not installed. Press {packages.again}"):
        packages.ensure()


def test_a_network_that_blocks_pip_leads_to_the_offline_way(versions: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(*_: Any, **__: Any) -> None:
        raise CalledProcessError(1, "pip")

    versions["safetensors"] = None
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: True)
    monkeypatch.setattr(slicer_standin.packaging(), "pip_ensure", blocked)
    with pytest.raises(DependencyError, match="HTTPS_PROXY"):
        TRANSLATING.ensure()
