"""A translation as a job: real processes that are watched, asked, cancelled, and that fail."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from body_part_maker import legs
from panel_translate import (
    EngineProcess,
    JobStatus,
    Translator,
    add_bent_transform,
    add_volume,
    count_volumes,
    finish,
    is_asking,
    slicer,
    tiny,
)
from panel_waiting import wait_for
from S2LDMLib.phantom.scan import PhantomTriple, make_phantom
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMSlicerLib.errors import PanelError
from S2LDMTranslatePanel.jobs.translation_job import TranslationRequest

pytestmark = pytest.mark.usefixtures("temporary")


def small_request(model: Path, **changes: object) -> TranslationRequest:
    return TranslationRequest(
        **{"phase": "arterial", "model": str(model), "device": "cpu", "precision": "float32", **changes}
    )


@pytest.fixture
def ct(temporary: Path, phantom: PhantomTriple) -> Any:
    return add_volume(phantom.ncct)


class Processes(list[EngineProcess]):
    """Starts the real engine, and keeps what was started."""

    def __call__(self, arguments: Sequence[str]) -> EngineProcess:
        self.append(EngineProcess(arguments))
        return self[-1]


def ended(pid: int) -> bool:
    """Whether a process is gone; a zombie that nobody has waited for is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks for processes in /proc")
def test_cancelling_the_real_engine_ends_it_at_once_and_leaves_nothing(
    ct: Any, small_model: Path, temporary: Path
) -> None:
    processes = Processes()
    translator = Translator(processes)
    translator.start(ct, small_request(small_model, steps=1000))
    wait_for(lambda: translator.update().stage == "translate")
    folder = next(temporary.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and [file.name for file in folder.iterdir()] == ["input.nrrd"]
    translator.cancel()  # waits for no more than a moment
    assert translator.job.wait(0) and all(ended(process.pid) for process in processes)
    assert translator.update().status is JobStatus.CANCELLED and not translator.is_running
    assert count_volumes() == 1 and list(temporary.iterdir()) == [] and translator.result is None


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks for processes in /proc")
def test_cancelling_ends_the_children_of_the_engine_too(ct: Any, temporary: Path) -> None:
    translator = Translator(tiny("hang"))
    translator.start(ct, TranslationRequest("arterial"))
    wait_for(lambda: [file for file in temporary.rglob("pids") if len(file.read_text().split()) == 2])
    pids = [int(word) for word in next(temporary.rglob("pids")).read_text().split()]
    assert not any(map(ended, pids))
    translator.cancel()
    assert translator.job.wait(0) and list(temporary.iterdir()) == []
    wait_for(lambda: all(map(ended, pids)))


def test_cancelling_before_the_engine_runs_starts_none(ct: Any, temporary: Path) -> None:
    started = []
    translator = Translator(lambda arguments: started.append(arguments) or tiny("nothing")(arguments))
    translator.start(ct, TranslationRequest("arterial"))
    translator.cancel()
    assert translator.job.wait(10) and len(started) <= 1
    assert translator.update().status is JobStatus.CANCELLED and list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("crash", "no phase 'x'"),
        ("silent", "exit code 3"),
        ("killed", "memory ran out"),
        ("nothing", "result.nrrd"),
        ("refused", "is constant"),
    ],
)
def test_a_failure_is_one_clear_message_and_a_log(ct: Any, temporary: Path, end: str, message: str) -> None:
    translator = Translator(tiny(end))
    translator.start(ct, TranslationRequest("arterial"))
    state = finish(translator)
    assert state.status is JobStatus.FAILED and message in state.message
    assert "$ s2ldm check" in translator.log()
    assert end == "refused" or "a library says something" in translator.log()
    assert count_volumes() == 1 and list(temporary.iterdir()) == [] and not translator.is_running


@pytest.mark.skipif(os.name == "nt", reason="kills as Linux does when memory runs out")
def test_an_engine_that_the_system_kills_says_memory(ct: Any, small_model: Path) -> None:
    processes = Processes()
    translator = Translator(processes)
    translator.start(ct, small_request(small_model, steps=1000))
    wait_for(lambda: translator.update().stage == "translate")
    os.kill(processes[-1].pid, signal.SIGKILL)
    state = finish(translator)
    assert state.status is JobStatus.FAILED and "memory ran out" in state.message


def test_a_second_job_is_refused_while_one_runs(ct: Any) -> None:
    translator = Translator(tiny("hang"))
    translator.start(ct, TranslationRequest("arterial"))
    for again in (
        lambda: translator.start(ct, TranslationRequest("venous")),
        lambda: translator.download("lab/model"),
    ):
        with pytest.raises(PanelError, match="Another job is still running"):
            again()
    translator.cancel()
    translator.start(ct, TranslationRequest("venous"))
    translator.cancel()


def test_an_enhanced_volume_is_asked_about_before_it_is_translated(temporary: Path) -> None:
    volume = add_volume(make_phantom(seed=3, size=(200, 168, 24), spacing=(2.0, 2.0, 5.0)).arterial)
    translator = Translator()
    translator.start(volume, TranslationRequest("venous"))
    wait_for(lambda: is_asking(translator))
    assert "contrast-enhanced already" in translator.update().message and translator.is_running
    translator.answer(False)
    assert finish(translator).status is JobStatus.CANCELLED and count_volumes() == 1 and list(temporary.iterdir()) == []
    assert "translate" not in translator.log()


def test_what_is_no_abdomen_is_asked_about_too() -> None:
    translator = Translator()
    translator.start(add_volume(legs()), TranslationRequest("venous"))
    wait_for(lambda: is_asking(translator))
    assert "legs" in translator.update().message
    translator.answer(False)
    assert finish(translator).status is JobStatus.CANCELLED


def test_an_enhanced_volume_is_translated_if_that_is_wanted(ct: Any) -> None:
    translator = Translator(tiny("enhanced"))
    translator.start(ct, TranslationRequest("venous"))
    wait_for(lambda: is_asking(translator))
    translator.answer(True)
    finish(translator)
    assert "$ s2ldm translate" in translator.log() and "contrast-enhanced" in translator.job.warnings[0]


def test_a_full_disk_is_told_before_anything_is_written(
    ct: Any, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(temporary)._replace(free=1 << 18)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    translator = Translator(tiny("nothing"))
    translator.start(ct, TranslationRequest("arterial"))
    state = finish(translator)
    assert state.status is JobStatus.FAILED and f"The disk of {temporary} is full: 1 MB are needed" in state.message
    assert translator.log() == "" and list(temporary.iterdir()) == []


def test_a_temporary_folder_that_is_gone_is_named(ct: Any, temporary: Path) -> None:
    slicer.app.temporaryPath = str(temporary / "gone")
    translator = Translator(tiny("nothing"))
    translator.start(ct, TranslationRequest("arterial"))
    assert "gone cannot be written to" in finish(translator).message


@pytest.mark.slow
def test_samples_give_a_second_volume_with_their_spread(
    phantom: PhantomTriple, small_model: Path, small: S2LDMPipeline
) -> None:
    translator = Translator()
    translator.start(add_volume(phantom.ncct), small_request(small_model, steps=2, samples=2, seed=4))
    assert finish(translator).status is JobStatus.DONE
    spread = translator.result.GetNodeReference("S2LDM.deviation")
    assert spread.GetName() == "CT SYNTHETIC arterial SD" and spread.GetAttribute("S2LDM.samples") == "2"
    both = [
        sitk.GetArrayFromImage(small(phantom.ncct, "arterial", steps=2, seed=seed)).astype(float) for seed in (4, 5)
    ]
    # Rounding to whole HU may fall otherwise in another process: 1 HU in one of two samples is 0.7 HU of their spread.
    values = slicer.util.arrayFromVolume(spread)
    assert values.max() > 2 and np.abs(values - np.std(both, axis=0, ddof=1)).max() < 1.5


def test_a_volume_under_a_bent_transform_is_refused(ct: Any) -> None:
    ct.SetAndObserveTransformNodeID(add_bent_transform().GetID())
    with pytest.raises(PanelError, match="lies under a non-linear transform"):
        Translator(tiny("nothing")).start(ct, TranslationRequest("arterial"))
