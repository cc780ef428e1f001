"""Killed while it writes, a run leaves the whole series or none of it, and never harms the one that was there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import ct_array, write_series
from kinds import PROVENANCE
from S2LDMLib.dicom.reading.series import find_series
from S2LDMLib.volume.files import write_volume
from tools import files

SLICES = 120


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source series and a result of it."""
    folder = tmp_path_factory.mktemp("killed")
    write_series(folder / "source", ct_array((SLICES, 24, 32)) + np.int16(1024))
    write_volume(find_series(folder / "source").read(), folder / "result.nrrd", True, PROVENANCE)
    return folder


def run_and_kill(work: Path, target: Path, after: int, *options: str) -> int:
    """Starts a real export and kills it when it has told so many slices; returns its exit code."""
    words = ["to-dicom", str(work / "result.nrrd"), str(target), "--source", str(work / "source")]
    command = [sys.executable, "-m", "S2LDMLib", *words, "--progress", "json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for told, _ in enumerate(process.stdout, start=1):
            if told == after:
                process.kill()
                break
    return process.returncode


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_leaves_no_half_series(work: Path, tmp_path: Path, seed: int) -> None:
    target = tmp_path / "synthetic"
    code = run_and_kill(work, target, random.Random(seed).randint(1, SLICES - 20))
    assert code == -signal.SIGKILL and not target.exists()
    assert run_and_kill(work, target, -1) == 0 and len(find_series(target).slices) == SLICES


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
def test_a_killed_run_leaves_the_series_that_it_would_have_replaced(work: Path, tmp_path: Path) -> None:
    target = tmp_path / "synthetic"
    assert run_and_kill(work, target, -1) == 0
    before = {file: file.read_bytes() for file in files(target)}
    assert run_and_kill(work, target, 40, "--overwrite") == -signal.SIGKILL
    assert {file: file.read_bytes() for file in files(target)} == before and len(before) == SLICES
