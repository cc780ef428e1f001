"""Evaluation: methods against what they are by definition, summaries, outputs, and bad input."""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from prepared_maker import write_case, write_manifest, write_phantom
from S2LDMLib.errors import Cancelled, InputError, ModelError
from S2LDMLib.inference.postprocess import FAT_HU
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig, ModelConfig, PreprocessConfig, SchedulerConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.denoiser import LatentDenoiser
from S2LDMLib.phantom.scan import make_phantom
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import ProgressReporter
from S2LDMTrainerLib.commands import evaluate as command
from S2LDMTrainerLib.data import Case, load_cases
from S2LDMTrainerLib.scoring.baselines import autoencoder_only, ceiling
from S2LDMTrainerLib.scoring.catalogue import METRICS
from S2LDMTrainerLib.scoring.evaluation import Contestant, MetricValues, PhaseScores, evaluate, methods_of
from shared_data import SHARED_DATA

WINDOW = (-200, 500)


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms to validate on, one to train on, one flagged, and a CECT without an NCCT."""
    folder = tmp_path_factory.mktemp("data") / "prepared"
    for seed, name in enumerate(("first", "second", "trained")):
        write_phantom(folder / name, make_phantom(seed=seed, size=(104, 88, 8), spacing=(4.0, 4.0, 5.0)))
    shutil.copytree(folder / "first", folder / "folded")
    info = json.loads((folder / "folded" / "case.json").read_text())
    (folder / "folded" / "case.json").write_text(json.dumps(info | {"flag": "the registration folds space"}))
    write_case(folder / "alone", {"cect": np.load(folder / "first" / "venous.npy")}, kind="cect")
    splits = dict.fromkeys(("first", "second", "folded", "alone"), "validation")
    write_manifest(folder, splits | {"trained": "train"})
    return folder


@pytest.fixture(scope="module")
def pixel_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that works on the voxels themselves: encoder and decoder are the identity; untrained, arterial only."""
    autoencoder = SyncreticAutoencoder(AutoencoderConfig((), (), 1, 1, 1, 0))
    denoiser = LatentDenoiser(DenoiserConfig(channels=(8, 12), context=3, embedding=8), 1, 1)
    preprocess = PreprocessConfig(window=float(WINDOW[1] - WINDOW[0]), level=sum(WINDOW) / 2, range=(0.0, 1.0))
    config = ModelConfig(name="pixels", phases=("arterial",), preprocess=preprocess)
    pipeline = S2LDMPipeline(config, autoencoder, denoiser, LatentScheduler(SchedulerConfig()))
    return pipeline.save_pretrained(tmp_path_factory.mktemp("model") / "pixels")


def load(model: Path) -> S2LDMPipeline:
    return S2LDMPipeline.from_pretrained(model, device="cpu", dtype="float32")


def hu(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image).astype(int)


def scores_of(
    pipeline: S2LDMPipeline, cases: list[Case], phase: str, *names: str
) -> dict[str, dict[str, MetricValues]]:
    """Scores of some methods by case, method and metric."""
    methods = methods_of(Contestant(pipeline), {}, True, never)
    return evaluate(cases, [phase], {name: methods[name] for name in names}, {}, lambda *_: None, never)[phase].cases


def test_the_ceiling_knows_the_answer(prepared: Path, pixel_model: Path) -> None:
    """With an identity for an autoencoder the ceiling can be written down: the CECT within the window, not lowered,
    and fat as it was."""
    case, pipeline = load_cases(prepared)[0], load(pixel_model)
    ncct, cect = case.image("ncct"), case.image("arterial")
    n, c = hu(ncct), hu(cect)
    valid = np.ones(case.shape, bool)
    valid[:, :, 52:] = False
    inside = (n > WINDOW[0]) & (n < WINDOW[1])
    gain = np.maximum(np.clip(c, *WINDOW) - np.clip(n, *WINDOW), 0) * valid
    gain = gain * np.clip((n - FAT_HU[0]) / (FAT_HU[1] - FAT_HU[0]), 0, 1)
    box = pipeline.prepare(ncct).box  # nothing outside of the patient's box is ever changed
    native = hu(ceiling(pipeline, ncct, cect, valid, "native", ProgressReporter()))
    assert np.abs(native - np.where(inside, n + gain, n))[box].max() <= 1
    assert (gain[box] > 100).sum() > 100
    plain = hu(ceiling(pipeline, ncct, cect, valid, "model", ProgressReporter()))
    assert np.abs(plain - np.where(inside & valid, np.clip(c, *WINDOW), n))[box].max() <= 1


def test_autoencoder_only_reconstructs_the_ncct_where_the_decoder_does(prepared: Path, pixel_model: Path) -> None:
    ncct = load_cases(prepared)[0].image("ncct")
    assert np.abs(hu(autoencoder_only(load(pixel_model), ncct, ProgressReporter())) - hu(ncct)).max() <= 1


def test_the_ceiling_stays_on_the_grid_of_the_ncct(prepared: Path, pixel_model: Path) -> None:
    """Half of the CECT's patient is missing: the other half must not move, though its own box is another."""
    case, pipeline = load_cases(prepared)[0], load(pixel_model)
    ncct, cect = case.image("ncct"), case.image("arterial")
    cut = sitk.GetArrayFromImage(cect)
    cut[:, :, :40] = -1024
    half = sitk.GetImageFromArray(cut)
    half.CopyInformation(cect)
    assert pipeline.prepare(half).grid != pipeline.prepare(ncct).grid == pipeline.prepare(half, patient=ncct).grid
    everywhere = np.ones(case.shape, bool)
    whole, part = (hu(ceiling(pipeline, ncct, each, everywhere, "model", ProgressReporter())) for each in (cect, half))
    assert np.array_equal(whole[:, :, 40:], part[:, :, 40:])
    assert np.abs(whole - part)[:, :, :40].max() > 100


def test_what_is_scored_is_what_ships(prepared: Path, small: S2LDMPipeline) -> None:
    case = load_cases(prepared)[0]
    seen: dict[str, sitk.Image] = {}
    methods = methods_of(Contestant(small), {}, True, never)
    scores = evaluate([case], ["venous"], methods, {}, lambda case, phase, made, scores: seen.update(made), never)
    assert list(scores["venous"].cases["first"]) == ["model", "identity", "autoencoder_only", "ceiling"]
    assert np.array_equal(hu(seen["model"]), hu(small(case.image("ncct"), "venous")))
    assert np.array_equal(hu(seen["identity"]), case.volume("ncct"))


def test_identity_scores_are_the_differences_of_the_scans(prepared: Path, small: S2LDMPipeline) -> None:
    case = load_cases(prepared)[0]
    found = scores_of(small, [case], "arterial", "identity")["first"]["identity"]
    ncct, cect, labels = (case.volume(name).astype(float) for name in ("ncct", "arterial", "labels"))
    aorta = labels == next(value for value, name in case.label_names.items() if name == "aorta")
    assert found["organ/aorta/mae_hu"] == pytest.approx(np.abs(ncct - cect)[aorta].mean(), abs=0.01)
    assert found["organ/aorta/bias_hu"] == pytest.approx((ncct - cect)[aorta].mean(), abs=0.01)
    error = np.clip(ncct, -200, 200) - np.clip(cect, -200, 200)
    assert found["volume_psnr"] == pytest.approx(10 * np.log10(400**2 / np.mean(error**2)), abs=1e-6)
    assert found["unchanged_mae_hu"] == 0
    assert found["enhancement_bias_hu"] == pytest.approx(-found["enhancement_mae_hu"])
    assert found["enhancement_mae_hu"] > 30


def overwrite(file: Path, value: int) -> None:
    """Set nearly half of the rows of a volume."""
    array = np.load(file)
    array[:, :40] = value
    np.save(file, array)


def test_voxels_that_were_not_measured_do_not_count(prepared: Path, small: S2LDMPipeline, tmp_path: Path) -> None:
    for name in ("half", "spoilt"):
        shutil.copytree(prepared / "first", tmp_path / name)
        overwrite(tmp_path / name / "venous_valid.npy", 0)
    overwrite(tmp_path / "spoilt" / "venous.npy", 1000)
    write_manifest(tmp_path, dict.fromkeys(("half", "spoilt"), "train"))
    found = scores_of(small, load_cases(tmp_path), "venous", "identity")
    # Smoothing looks a few pixels over the border, so regions that depend on it may differ in a few voxels.
    for metric, value in found["half"]["identity"].items():
        tolerance = 0.05 if metric.startswith(("soft", "enhancement", "unchanged")) else 1e-9
        assert found["spoilt"]["identity"][metric] == pytest.approx(value, rel=tolerance), metric


def test_summary_is_mean_and_sample_sd_over_the_cases_that_have_a_value() -> None:
    cases = {"a": {"model": {"x": 1.0, "y": None}}, "b": {"model": {"x": 4.0, "y": 2.0}}, "c": {"model": {"z": None}}}
    summary = PhaseScores(cases).summary()["model"]
    assert summary["x"] == {"mean": 2.5, "sd": pytest.approx(4.5**0.5), "n": 2}
    assert summary["y"] == {"mean": 2.0, "sd": None, "n": 1}
    assert summary["z"] == {"mean": None, "sd": None, "n": 0}


def options(prepared: Path, model: Path | str, *more: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    fixed = ("--model", model, "--data", prepared, "--device", "cpu", "--dtype", "float32")
    return parser.parse_args([*map(str, fixed), *map(str, more)])


@pytest.fixture(scope="module")
def written(
    prepared: Path, small_model: Path, pixel_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict, str]:
    """The JSON and the HTML of an evaluation with everything on."""
    folder = tmp_path_factory.mktemp("out")
    rois = {"first": {"aorta": [{"center_lps_mm": list(centre_of_the_aorta(prepared)), "radius_mm": 6.0}]}, "alone": {}}
    (folder / "rois.json").write_text(json.dumps(rois))
    more = (
        "--split", "all", "--phase", "arterial", "--baselines", "--compare", f"pixel_unet={pixel_model}",
        "--rois", folder / "rois.json", "--note", "seen & <known>",
        "--json", folder / "scores.json", "--html", folder / "report.html",
    )  # fmt: skip
    assert command.run(options(prepared, small_model, *more), never) == 0
    assert sorted(file.name for file in folder.iterdir()) == ["report.html", "rois.json", "scores.json"]
    text = (folder / "scores.json").read_text()
    return json.loads(text, parse_constant=pytest.fail), (folder / "report.html").read_text(encoding="utf-8")


def centre_of_the_aorta(prepared: Path) -> tuple[float, ...]:
    case = load_cases(prepared)[0]
    value = next(value for value, name in case.label_names.items() if name == "aorta")
    z, y, x = np.argwhere(case.labels() == value).mean(axis=0)
    return case.image("ncct").TransformContinuousIndexToPhysicalPoint((x, y, z))


def test_json_holds_every_case_method_and_summary(written: tuple[dict, str], small: S2LDMPipeline) -> None:
    content, _ = written
    assert content["version"] == 1
    assert content["model"] == {
        "id": "small", "revision": small.source.revision, "detail": "native", "steps": 1, "seed": 0,
    }  # fmt: skip
    assert (content["data"], content["split"], content["note"]) == ("prepared", "all", "seen & <known>")
    assert content["training_cases"] == ["trained"]
    arterial = content["phases"]["arterial"]
    assert set(content["phases"]) == {"arterial"}
    assert set(arterial["cases"]) == {"first", "second", "trained"}
    methods = ["model", "pixel_unet", "identity", "autoencoder_only", "ceiling"]
    assert all(list(scores) == methods for scores in arterial["cases"].values())
    assert list(arterial["summary"]) == methods
    values = [scores["ceiling"]["body_psnr"] for scores in arterial["cases"].values()]
    assert arterial["summary"]["ceiling"]["body_psnr"]["mean"] == pytest.approx(np.mean(values))
    assert arterial["summary"]["ceiling"]["body_psnr"]["n"] == 3
    first = arterial["cases"]["first"]["identity"]
    assert set(METRICS) <= set(first)
    assert first["roi/aorta/synthetic_hu"] == first["roi/aorta/ncct_hu"] == pytest.approx(42, abs=15)
    assert first["roi/aorta/real_hu"] > 250
    assert "roi/aorta/real_hu" not in arterial["cases"]["second"]["identity"]


def test_html_is_one_readable_file(written: tuple[dict, str]) -> None:
    content, html = written
    assert not re.findall(r"(?:src|href)='(?!data:)", html) and "<script" not in html and "http" not in html
    assert "seen &amp; &lt;known&gt;" in html and "<known>" not in html
    assert "1 of 3 cases are of the training split" in html and "SYNTHETIC" in html
    mean = content["phases"]["arterial"]["summary"]["ceiling"]["body_psnr"]
    assert f"{mean['mean']:.2f} ± {mean['sd']:.2f}" in html
    pictures = re.findall(r"data:image/(png|jpeg);base64,([^']+)'", html)
    assert [kind for kind, _ in pictures].count("jpeg") == 6 and [kind for kind, _ in pictures].count("png") == 2
    for _, data in pictures:
        Image.open(BytesIO(base64.b64decode(data))).load()
    for term in ("NMSE", "soft core", "autoencoder_only", "sigma 1.5", "n = 3"):
        assert term in html


def test_flagged_cases_are_left_out_with_a_line(
    prepared: Path, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(options(prepared, small_model, "--phase", "venous"), never) == 0
    out, err = capsys.readouterr()
    assert "folded is left out: the registration folds space" in err
    assert re.search(r"\[2/2\] second venous: body PSNR \d+\.\d\d dB, 0 s left", err)
    assert "venous (n = 2)" in out and re.search(r"body PSNR, dB +-?\d+\.\d\d ± \d+\.\d\d", out)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["--compare", "unet"], InputError, "NAME=MODEL"),
        (["--compare", "=x"], InputError, "NAME=MODEL"),
        (["--compare", "identity=x"], InputError, "'identity' in --compare is taken"),
        (["--compare", "a=no/such/model"], ModelError, "no/such/model"),
        (["--compare", "pixels={pixel}"], InputError, "'pixels' has no phase 'venous'"),
        (["--compare", "pixels={pixel}", "--phase", "venous"], InputError, "'pixels' has no phase 'venous'"),
        (["--kind", "pair"], InputError, "No case"),
        (["--rois", "{tmp}/unknown.json"], InputError, "lacks: nobody"),
        (["--rois", "{tmp}/outside.json"], InputError, "aorta of first lies outside"),
        (["--rois", "{tmp}/trained.json"], InputError, "no ROI of the cases to score"),
        (["--rois", "{tmp}/none.json"], InputError, "none.json cannot be read"),
        (["--json", "{tmp}/there.json"], InputError, "--overwrite"),
        (["--html", "{tmp}/none/o.html"], InputError, "does not exist"),
        (["--html", "{tmp}/o.htm"], InputError, r"\.html"),
        (["--steps", "5000"], InputError, "5000 sampling steps"),
        (["--device", "cuda:7"], InputError, "cuda:7"),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed(
    prepared: Path, small_model: Path, pixel_model: Path, tmp_path: Path, more: list[str], error: type[Exception],
    message: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    disc = {"aorta": [{"center_lps_mm": [0, 0, 9000], "radius_mm": 6}]}
    for name, case in (("unknown", "nobody"), ("outside", "first"), ("trained", "trained")):
        (tmp_path / f"{name}.json").write_text(json.dumps({case: disc}))
    (tmp_path / "there.json").write_text("precious")
    filled = [each.format(tmp=tmp_path, pixel=pixel_model) for each in more]
    before = sorted(file.name for file in tmp_path.iterdir())
    with pytest.raises(error, match=message):
        command.run(options(prepared, small_model, *filled), lambda: pytest.fail("work had begun"))
    assert (tmp_path / "there.json").read_text() == "precious"
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def cut(folder: Path) -> None:
    """Leave two slices of a case."""
    for file in folder.glob("*.npy"):
        np.save(file, np.load(file)[:2])
    info = json.loads((folder / "case.json").read_text())
    (folder / "case.json").write_text(json.dumps(info | {"shape": [2, *info["shape"][1:]]}))


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        (cut, r"first has \(2, 88, 104\) voxels"),
        (lambda folder: (folder / "venous_valid.npy").unlink(), "first: venous cannot be read"),
        (lambda folder: np.save(folder / "venous.npy", np.zeros((3, 4, 5), np.int16)), "first: venous .* shape"),
        (lambda folder: (folder / "ncct.npy").write_bytes(b"no array"), "first: ncct cannot be read"),
    ],
    ids=["small", "gone", "shape", "damaged"],
)
def test_a_broken_case_is_named(
    prepared: Path, small_model: Path, tmp_path: Path, breaking: Callable[[Path], object], message: str
) -> None:
    shutil.copytree(prepared / "first", tmp_path / "first")
    write_manifest(tmp_path, {"first": "validation"})
    breaking(tmp_path / "first")
    with pytest.raises(InputError, match=message):
        command.run(options(tmp_path, small_model), lambda: pytest.fail("work had begun"))


def test_cancelling_leaves_nothing(prepared: Path, small_model: Path, tmp_path: Path) -> None:
    asked = iter(range(100))
    outputs = ("--baselines", "--json", tmp_path / "o.json", "--html", tmp_path / "o.html")
    with pytest.raises(Cancelled):
        command.run(options(prepared, small_model, *outputs), lambda: next(asked) > 8)
    assert list(tmp_path.iterdir()) == []


def test_equal_runs_write_equal_files(prepared: Path, small_model: Path, tmp_path: Path) -> None:
    for name in "ab":
        outputs = ("--phase", "arterial", "--json", tmp_path / f"{name}.json", "--html", tmp_path / f"{name}.html")
        command.run(options(prepared, small_model, *outputs), never)
    for suffix in ("json", "html"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["arterial", "venous"])
def test_the_bundled_model_lies_between_identity_and_ceiling(
    bundled: S2LDMPipeline, tmp_path: Path, phase: str
) -> None:
    write_phantom(tmp_path / "unseen", make_phantom(seed=77, size=(200, 168, 12), spacing=(2.0, 2.0, 5.0)))
    write_manifest(tmp_path, {"unseen": "validation"})
    names = ("identity", "model", "ceiling")
    found = scores_of(bundled, load_cases(tmp_path), phase, *names)["unseen"]
    for metric in ("body_psnr", "body_ssim", "soft_core_psnr", "enhancement_mae_hu"):
        low, middle, high = (found[name][metric] for name in names)
        assert low < middle < high if METRICS[metric].better == "higher" else low > middle > high, metric
    assert abs(found["model"]["unchanged_bias_hu"]) < 10


@pytest.mark.slow
def test_discs_of_real_scans_hold_the_hu_that_were_measured(tmp_path: Path, small_model: Path) -> None:
    """The NCCT's own discs, whose HU a person wrote down: the grid and the reading of the discs are right."""
    file = SHARED_DATA / "pairs" / "rois.json"
    if not file.exists():
        pytest.skip(f"real data is absent: {file}")
    name = "HCC_005_19990123"
    ncct = sitk.DICOMOrient(sitk.ReadImage(str(file.parent / name / "ncct.nii.gz"), sitk.sitkInt16), "LPS")
    array = sitk.GetArrayFromImage(ncct)
    arrays = {"ncct": array, "venous": array, "venous_valid": np.ones(array.shape, np.uint8)}
    place = (ncct.GetSpacing(), ncct.GetOrigin(), ncct.GetDirection())
    write_case(tmp_path / "prepared" / name, arrays, *place, kind="pair")
    write_manifest(tmp_path / "prepared", {name: "validation"})
    measured = json.loads(file.read_text())[name]
    (tmp_path / "rois.json").write_text(json.dumps({name: measured}))
    more = ("--rois", tmp_path / "rois.json", "--json", tmp_path / "o.json", "--phase", "venous")
    command.run(options(tmp_path / "prepared", small_model, *more), never)
    found = json.loads((tmp_path / "o.json").read_text())["phases"]["venous"]["cases"][name]["model"]
    for organ, discs in measured.items():
        for number, disc in enumerate(discs, 1):
            key = organ if number == 1 else f"{organ}_{number}"
            assert found[f"roi/{key}/ncct_hu"] == pytest.approx(disc["measured_hu"]["ncct"], abs=1.5), key
