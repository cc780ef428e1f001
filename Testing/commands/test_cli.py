"""The command line as a user meets it: in a process of its own, with files, messages and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hub_samples import files_of
from hub_server import HubServer
from PIL import Image
from S2LDMLib.model.hub import resolve_model
from S2LDMLib.phantom.scan import make_phantom

QUIET = ("--progress", "none")


def s2ldm(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line, one thread."""
    return subprocess.run(
        [sys.executable, "-m", "S2LDMLib", *map(str, arguments)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def test_translate_writes_volume_and_preview(ncct: Path, tmp_path: Path, small_model: Path) -> None:
    out, preview = tmp_path / "arterial.nrrd", tmp_path / "arterial.png"
    done = s2ldm("translate", ncct, out, "--phase", "arterial", "--model", small_model, "--preview", preview)
    assert done.returncode == 0, done.stderr
    made, source = sitk.ReadImage(str(out)), sitk.ReadImage(str(ncct))
    assert made.GetSize() == source.GetSize()
    assert made.GetSpacing() == pytest.approx(source.GetSpacing())
    assert made.GetMetaData("S2LDM_phase") == "arterial"
    assert "SYNTHETIC" in made.GetMetaData("description")
    assert np.abs(sitk.GetArrayFromImage(made) - sitk.GetArrayFromImage(source)).max() > 5
    assert Image.open(preview).size[0] == 3 * 384
    assert "100%" in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["arterial.nrrd", "arterial.png"]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_same_input_and_seed_give_identical_files(ncct: Path, tmp_path: Path, suffix: str, small_model: Path) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        arguments = ("--phase", "venous", "--model", small_model, "--steps", "2", "--seed", "7", *QUIET)
        # Each run takes more than a second, so that a time stamp in a header would differ.
        assert s2ldm("translate", ncct, file, *arguments).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_json_progress_is_one_object_a_line(ncct: Path, tmp_path: Path, small_model: Path) -> None:
    arguments = ("--phase", "venous", "--model", small_model, "--progress", "json")
    done = s2ldm("translate", ncct, tmp_path / "v.mha", *arguments)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["stage"] == "preprocess" and lines[-1]["fraction"] == 1
    assert all(set(line) == {"stage", "fraction", "remaining_s"} for line in lines)
    assert done.stderr == ""


def test_existing_output_is_kept_unless_overwriting(ncct: Path, tmp_path: Path, small_model: Path) -> None:
    out = tmp_path / "out.nrrd"
    out.write_text("precious")
    arguments = ("translate", ncct, out, "--phase", "venous", "--model", small_model, *QUIET)
    refused = s2ldm(*arguments)
    assert refused.returncode == 2 and "--overwrite" in refused.stderr
    assert out.read_text() == "precious"
    assert s2ldm(*arguments, "--overwrite").returncode == 0
    assert sitk.ReadImage(str(out)).GetSize() == (200, 168, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.nii.gz", "o.nrrd", "--phase", "venous"], "absent.nii.gz"),
        (["{ncct}", "{tmp}/none/o.nrrd", "--phase", "venous"], "does not exist"),
        (["{ncct}", "{tmp}/o.dcm", "--phase", "venous"], ".nii.gz or .nrrd or .mha"),
        (["{ncct}", "{tmp}/o.nrrd", "--phase", "delayed"], "arterial, venous"),
        (["{ncct}", "{tmp}/o.nrrd", "--phase", "venous", "--model", "no/such/folder"], "no/such/folder"),
        (["{ncct}", "{tmp}/o.nrrd", "--phase", "venous", "--device", "cuda:7"], "cuda:7"),
        (["{ncct}", "{tmp}/o.nrrd", "--phase", "venous", "--preview", "{tmp}/o.bmp"], ".png"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(ncct: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = s2ldm("translate", *(a.format(ncct=ncct, tmp=tmp_path) for a in arguments))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("s2ldm: ")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    done = s2ldm("translate", "absent.nrrd", tmp_path / "o.nrrd", "--phase", "venous", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith("s2ldm: ")


def test_an_already_enhanced_input_is_translated_with_a_warning(tmp_path: Path, small_model: Path) -> None:
    enhanced = make_phantom(seed=3, size=(200, 168, 24), spacing=(2.0, 2.0, 5.0)).arterial
    sitk.WriteImage(enhanced, str(tmp_path / "cect.nrrd"))
    arguments = ("--phase", "venous", "--model", small_model, *QUIET)
    done = s2ldm("translate", tmp_path / "cect.nrrd", tmp_path / "o.nrrd", *arguments)
    assert done.returncode == 0
    assert "warning" in done.stderr and "enhanced" in done.stderr
    assert (tmp_path / "o.nrrd").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a process of its own")
def test_interrupting_leaves_no_file_and_exit_code_130(ncct: Path, tmp_path: Path, small_model: Path) -> None:
    out = tmp_path / "o.nrrd"
    options = ["--phase", "venous", "--model", str(small_model), "--steps", "1000", "--progress", "json"]
    command = [sys.executable, "-m", "S2LDMLib", "translate", str(ncct), str(out), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if '"translate"' in line:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)  # the work itself would go on for minutes
    assert process.returncode == 130
    assert "Cancelled" in stderr and len(stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_info_describes_the_bundled_model() -> None:
    done = s2ldm("info", "bundled", "--json")
    shown = json.loads(done.stdout)
    assert shown["phases"] == ["arterial", "venous"]
    assert len(shown["revision"]) == 64
    assert shown["denoiser"]["parameters"] > 1e6
    assert "not a medical device" in shown["provenance"]["intended use"]


def test_a_model_on_the_hub_is_fetched_once_and_then_used_offline(ncct: Path, tmp_path: Path) -> None:
    """The bundled model from a repository gives the bundled model's result; its commit stands in the header."""
    local, cache = tmp_path / "local.nrrd", tmp_path / "cache"
    assert s2ldm("translate", ncct, local, "--phase", "arterial", "--progress", "none").returncode == 0
    with HubServer() as server:
        commit = server.repo("lab/model", files_of(resolve_model("bundled").folder))
        environment = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(cache), "HF_TOKEN": "", "NO_PROXY": "127.0.0.1"}
        arguments = ("--phase", "arterial", "--model", f"hf://lab/model@{commit}")
        done = s2ldm("translate", ncct, tmp_path / "hub.nrrd", *arguments, "--progress", "json", **environment)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[0])["stage"] == "download"
        before = len(server.requested())
        again = s2ldm("translate", ncct, tmp_path / "again.nrrd", *arguments, "--offline", **environment)
        assert again.returncode == 0, again.stderr
        assert len(server.requested()) == before
    images = [sitk.ReadImage(str(tmp_path / f"{name}.nrrd")) for name in ("local", "hub", "again")]
    assert len({sitk.GetArrayFromImage(image).tobytes() for image in images}) == 1
    assert images[1].GetMetaData("S2LDM_revision") == commit
    assert images[1].GetMetaData("S2LDM_model") == "lab/model"


def test_a_hub_out_of_reach_is_one_line_and_exit_code_1(ncct: Path, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    done = s2ldm(
        "translate", ncct, tmp_path / "o.nrrd", "--phase", "venous", "--model", "hf://lab/model", **environment
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "Cannot reach http://127.0.0.1:9" in done.stderr
    assert not (tmp_path / "o.nrrd").exists()


@pytest.mark.slow
def test_demo_translates_the_sample_into_both_phases(tmp_path: Path) -> None:
    done = s2ldm("demo", "--out", tmp_path, "--progress", "none")
    assert done.returncode == 0, done.stderr
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["arterial.nrrd", "compare.png", "ncct.nrrd", "venous.nrrd"]
    assert str(tmp_path / "arterial.nrrd") in done.stdout
