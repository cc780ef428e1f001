"""What a training of minutes reaches on phantoms that it has not seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trainer_runs import command, start

LEAST_GAIN_DB = 2.5


@pytest.mark.slow
def test_a_training_of_minutes_beats_identity_on_unseen_phantoms_in_both_phases(tmp_path: Path) -> None:
    data, run, scores = tmp_path / "data", tmp_path / "run", tmp_path / "scores.json"
    trainer = ["-m", "S2LDMTrainerLib"]
    phantoms = ["--phantoms", "30", "--phantom-size", "128", "112", "16", "--spacing", "3", "3", "5"]
    for arguments in (
        [*trainer, "prepare", str(data), *phantoms, "--jobs", "2", "--progress", "none"],
        command(data, run, Path("phantoms")),
        [
            *trainer,
            "evaluate",
            "--model",
            str(run / "model"),
            "--data",
            str(data),
            "--baselines",
            "--json",
            str(scores),
        ],
    ):
        process = start(arguments)
        out, err = process.communicate(timeout=1800)
        assert process.returncode == 0, out + err
    for phase, result in json.loads(scores.read_text())["phases"].items():
        made, identity = (result["summary"][method]["body_psnr"] for method in ("model", "identity"))
        print(phase, made, identity)
        assert made["n"] == 6
        assert made["mean"] > identity["mean"] + LEAST_GAIN_DB, phase
