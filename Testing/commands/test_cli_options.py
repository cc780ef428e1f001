"""The command line: check, info, download, and what translate can do besides."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import SimpleITK as sitk
from command_line import Cli
from hub_samples import files_of
from hub_server import HubServer
from S2LDMLib.errors import ModelError
from S2LDMLib.model.hub import resolve_model
from S2LDMLib.model.info import count_parameters, licence_of_card
from S2LDMLib.model.offer import look_up
from S2LDMLib.phantom.scan import make_phantom
from S2LDMLib.pipeline import S2LDMPipeline


def test_check_finds_nothing_in_a_plain_scan_and_contrast_in_an_enhanced_one(
    ncct: Path, tmp_path: Path, cli: Cli
) -> None:
    assert cli("check", ncct).done().startswith("A non-contrast CT that can be translated.\n")
    found = cli("check", ncct, "--json").json()
    assert (found["warnings"], found["enhanced"]) == ([], False)
    enhanced = make_phantom(seed=3, size=(200, 168, 24), spacing=(2.0, 2.0, 5.0)).arterial
    sitk.WriteImage(enhanced, str(tmp_path / "cect.nrrd"))
    found = cli("check", tmp_path / "cect.nrrd", "--json").json()
    assert found["enhanced"] and "contrast-enhanced already" in found["warnings"][0]


@pytest.mark.parametrize(
    "words", [("check", "{flat}", "--json"), ("translate", "{flat}", "{out}", "--phase", "venous")]
)
def test_what_is_no_ct_is_refused_in_one_line(tmp_path: Path, words: tuple[str, ...], cli: Cli) -> None:
    flat, out = tmp_path / "flat.nrrd", tmp_path / "o.nrrd"
    sitk.WriteImage(sitk.Image(64, 64, 10, sitk.sitkInt16), str(flat))
    ended = cli(*(word.format(flat=flat, out=out) for word in words))
    assert "constant" in ended.refused() and ended.out == "" and not out.exists()


def test_info_says_what_the_pipeline_says(small_model: Path, cli: Cli) -> None:
    shown = cli("info", small_model, "--json").json()
    pipeline = S2LDMPipeline.from_pretrained(small_model)
    assert shown["phases"] == ["arterial", "venous"] and shown["scheduler"]["steps"] == 1
    assert shown["denoiser"]["parameters"] == sum(p.numel() for p in pipeline.denoiser.state_dict().values())
    assert shown["bytes"] == sum(file.stat().st_size for file in small_model.rglob("*.*"))
    assert shown["licence"] == "not stated"
    assert cli("info", "bundled", "--json").json()["licence"] == "apache-2.0"


def test_info_shows_the_model_card(small_model: Path, cli: Cli) -> None:
    assert "no model card" in cli("info", small_model).done()
    shown = cli("info", "bundled").done()
    assert shown.startswith("# S2LDM demo") and "not a medical" in shown
    assert "CC BY 4.0" in shown and "10.7937/TCIA.5FNA-0924" in shown and "licence:   apache-2.0" in shown


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: cc-by-4.0\n---\n# M\n", "cc-by-4.0"),
        ("---\r\nlicense: 'mit'\r\ntags: [a]\r\n---\r\n", "mit"),
        ("# M\nlicense: mit\n", "not stated"),
        ("---\ntags: [a]\n---\nlicense: mit\n", "not stated"),
    ],
)
def test_the_licence_is_read_from_the_front_matter_alone(card: str, licence: str) -> None:
    assert licence_of_card(card) == licence


@pytest.mark.parametrize("content", [b"", b"\x08", struct.pack("<Q", 1 << 40), struct.pack("<Q", 4) + b"[1] and more"])
def test_a_damaged_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="no complete safetensors file"):
        count_parameters(file)


def test_a_download_says_its_size_and_licence_first(server: HubServer, small_model: Path, cli: Cli) -> None:
    files = files_of(small_model) | {"README.md": b"---\nlicense: mit\n---\n# M\n"}
    commit = server.repo("lab/model", files)
    offer = cli("download", "lab/model", "--dry-run").json()
    total = sum(map(len, files.values()))
    assert (offer["model"], offer["revision"]) == ("lab/model", commit)
    assert offer["bytes"] == offer["missing_bytes"] == total and offer["licence"] == "mit"
    assert not Path(offer["cache"]).exists() or not any(Path(offer["cache"]).rglob("*.safetensors"))
    *progress, described = map(json.loads, cli("download", "lab/model", "--progress", "json").done().splitlines())
    assert progress[0]["fraction"] == 0 and progress[-1]["fraction"] == 1
    assert described["revision"] == commit and described["phases"] == ["arterial", "venous"]
    assert look_up(f"lab/model@{commit}").missing_bytes == 0
    assert resolve_model(f"lab/model@{commit}", local_files_only=True).revision == commit


def test_a_download_of_no_repository_is_one_line(server: HubServer, small_model: Path, cli: Cli) -> None:
    for name, message in ((small_model, "no Hub repository"), ("lab/absent", "lab/absent")):
        ended = cli("download", name, "--dry-run")
        assert ended.code != 0 and len(ended.err.splitlines()) == 1 and message in ended.err


def test_translate_writes_a_region_a_sidecar_and_the_deviation_of_samples(
    ncct: Path, tmp_path: Path, small_model: Path, cli: Cli
) -> None:
    out, deviation = tmp_path / "made.nii.gz", tmp_path / "sd.nrrd"
    options = ["--model", str(small_model), "--phase", "venous", "--progress", "none", "--steps", "2", "--sidecar"]
    options += ["--region", "-20.5", "40", "-60", "60", "-30", "30", "--samples", "2", "--sd", str(deviation)]
    cli("translate", ncct, out, *options).done()
    sidecar = json.loads((tmp_path / "made.json").read_text())
    assert (
        sidecar["synthetic"]
        and sidecar["file"] == "made.nii.gz"
        and sidecar["notice"].startswith("SYNTHETIC. Made from")
    )
    assert (sidecar["S2LDM_samples"], sidecar["S2LDM_phase"], sidecar["S2LDM_steps"]) == ("2", "venous", "2")
    assert sidecar["S2LDM_region"].startswith("-20.50 40.00")
    spread = sitk.GetArrayFromImage(sitk.ReadImage(str(deviation)))
    assert spread.max() > 0
    changed = sitk.GetArrayFromImage(sitk.ReadImage(str(out))) != sitk.GetArrayFromImage(sitk.ReadImage(str(ncct)))
    assert changed.any() and not changed[..., :80].any() and not spread[..., :80].any()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["made.json", "made.nii.gz", "sd.json", "sd.nrrd"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samples", "3"], "same result for every seed"),
        (["--sd", "{tmp}/sd.nrrd"], "Add --samples"),
        (["--region", "0", "1", "0", "1", "0", "1"], "too small"),
    ],
)
def test_impossible_options_are_one_line(
    ncct: Path, tmp_path: Path, small_model: Path, arguments: list[str], message: str, cli: Cli
) -> None:
    options = ["--model", small_model, "--phase", "venous", *(word.format(tmp=tmp_path) for word in arguments)]
    assert message in cli("translate", ncct, tmp_path / "o.nrrd", *options).refused()
    assert list(tmp_path.iterdir()) == []


def test_a_sidecar_that_is_there_already_is_refused_before_any_work(
    ncct: Path, tmp_path: Path, small_model: Path, cli: Cli
) -> None:
    (tmp_path / "made.json").write_text("mine")
    options = ["--model", small_model, "--phase", "venous", "--progress", "json", "--sidecar"]
    ended = cli("translate", ncct, tmp_path / "made.nrrd", *options)
    assert "made.json exists" in ended.refused() and not ended.out
    assert [file.name for file in tmp_path.iterdir()] == ["made.json"]
    assert (tmp_path / "made.json").read_text() == "mine"
