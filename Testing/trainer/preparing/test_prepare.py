"""Registration, recolouring and preparation of training data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from filelock import FileLock
from painted_abdomen import SIZE, SPACING, arterial, breathe, grid_points, native, paint, scans, venous
from S2LDMLib.errors import InputError
from S2LDMTrainerLib.commands.cli import main
from S2LDMTrainerLib.data import load_cases
from S2LDMTrainerLib.preparing.case_store import LOCK, remove_partials
from S2LDMTrainerLib.preparing.recolour import BONE_LABELS, ORGANS, recoloured_triple
from S2LDMTrainerLib.preparing.registration import AIR_HU, Registration, register
from S2LDMTrainerLib.preparing.volumes import to_spacing
from shared_data import SHARED_DATA

NATIVE = "native_abdomen"
SMALL = ("--phantom-size", "32", "28", "10", "--spacing", "9", "9", "9")

Array = np.ndarray


@pytest.fixture(scope="module")
def registered() -> Registration:
    ncct, cect = scans()
    return register(cect, ncct)


def test_register_recovers_a_known_warp_despite_contrast_medium(registered: Registration) -> None:
    points = grid_points()
    # In the organs, where grey values tell what belongs together; in plain fat and muscle nothing could.
    native, enhanced = (sitk.GetArrayFromImage(paint(*points, noise=1, contrast=hu)) for hu in (0, 60))
    organs = (enhanced - native > 50) & (sitk.GetArrayFromImage(registered.valid) > 0)
    here = np.stack([axis[organs] for axis in points], axis=1)[::7]
    found = np.array([registered.transform.TransformPoint(point) for point in here])

    def error_mm(where: Array) -> float:
        return float(np.linalg.norm(np.stack(breathe(*where.T), axis=1) - here, axis=1).mean())

    assert error_mm(here) > 8
    assert error_mm(found) < 0.3 * error_mm(here)


def test_register_reports_quality(registered: Registration) -> None:
    quality = registered.quality
    assert quality.border_correlation_after > quality.border_correlation_before + 0.1
    assert quality.mutual_information_after > quality.mutual_information_before + 0.1
    assert 5 < quality.displacement_median_mm < quality.displacement_p95_mm < 16
    assert quality.folding == 0
    assert all(isinstance(value, float) for value in json.loads(json.dumps(quality.to_dict())).values())


def test_register_keeps_the_grid_of_the_ncct(registered: Registration) -> None:
    ncct, _ = scans()
    for image in (registered.image, registered.valid):
        assert image.GetSize() == ncct.GetSize()
        assert image.GetOrigin() == ncct.GetOrigin()
    assert registered.image.GetPixelID() == sitk.sitkInt16


def test_valid_excludes_what_the_cect_did_not_measure(registered: Registration) -> None:
    ncct, cect = scans()
    valid, _, z = sitk.GetArrayFromImage(registered.valid), *grid_points()[1:]
    lowest_measured = cect.TransformIndexToPhysicalPoint((0, 0, 2))[2]
    highest_measured = cect.TransformIndexToPhysicalPoint((0, 0, cect.GetDepth() - 1))[2]
    inside = np.argwhere(valid > 0)[::97]
    for k, j, i in inside:
        point = registered.transform.TransformPoint(ncct.TransformIndexToPhysicalPoint((int(i), int(j), int(k))))
        assert lowest_measured - 0.1 <= point[2] <= highest_measured + 0.1
    assert valid[z < 40].mean() > 0.6
    assert not valid[-1].all() or not valid[0].all()


def test_register_is_deterministic(registered: Registration) -> None:
    ncct, cect = scans()
    again = register(cect, ncct)
    assert np.array_equal(sitk.GetArrayViewFromImage(again.image), sitk.GetArrayViewFromImage(registered.image))


def test_register_refuses_an_empty_scan() -> None:
    ncct, cect = scans()
    with pytest.raises(InputError, match="no body"):
        register(cect, ncct * 0 + AIR_HU)


@pytest.fixture(scope="module")
def recoloured() -> tuple[dict[str, Array], Array]:
    """A recoloured native abdomen as float32 HU, and its labels on the same grid."""
    folder = SHARED_DATA / "labelled"
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder}")
    files = [folder / f"{NATIVE}_{part}.nii.gz" for part in ("ct", "labels")]
    triple = recoloured_triple(*files, seed=1)
    labels = sitk.Resample(sitk.ReadImage(str(files[1])), triple["ncct"], sitk.Transform(), sitk.sitkNearestNeighbor)
    arrays = {name: sitk.GetArrayFromImage(image).astype(np.float32) for name, image in triple.items()}
    return arrays, sitk.GetArrayFromImage(labels)


def core(labels: Array, ids: Sequence[int]) -> Array:
    """Voxels of a class without its border."""
    mask = sitk.GetImageFromArray(np.isin(labels, ids).astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryErode(mask, [2, 2, 0])) > 0


@pytest.mark.parametrize("phase", ["arterial", "venous"])
def test_recolouring_leaves_bone_fat_and_air_alone(recoloured: tuple, phase: str) -> None:
    arrays, labels = recoloured
    change = arrays[phase] - arrays["ncct"]
    fat = (labels == 0) & (arrays["ncct"] < -70) & (arrays["ncct"] > -130)
    for tissue in (core(labels, BONE_LABELS), fat, arrays["ncct"] < -900):
        assert tissue.sum() > 10_000
        assert abs(change[tissue].mean()) < 3
        assert change[tissue].std() < 22  # the noise of two phases


@pytest.mark.parametrize("phase", ["arterial", "venous"])
def test_recoloured_organs_enhance_as_published(recoloured: tuple, phase: str) -> None:
    arrays, labels = recoloured
    for name in ("arteries", "liver", "spleen", "vena cava"):
        organ = ORGANS[name]
        change = (arrays[phase] - arrays["ncct"])[core(labels, organ.labels)].mean()
        low, high = getattr(organ, phase)
        assert 0.8 * low - 5 < change < 1.05 * high + 5, name


def test_recoloured_cortex_precedes_medulla(recoloured: tuple) -> None:
    arrays, labels = recoloured
    kidney = np.isin(labels, (2, 3))
    inner = core(core(labels, (2, 3)), (1,))
    added = {phase: arrays[phase] - arrays["ncct"] for phase in ("arterial", "venous")}
    gap = {phase: change[kidney & ~inner].mean() - change[inner].mean() for phase, change in added.items()}
    spread = {phase: change[inner].std() for phase, change in added.items()}
    assert spread["arterial"] > spread["venous"]
    assert gap["arterial"] > gap["venous"]


def test_recolouring_refuses_a_scan_between_native_and_arterial(tmp_path: Path) -> None:
    labels = sitk.Cast(native() > 20, sitk.sitkUInt8) * 52
    sitk.WriteImage(labels, str(tmp_path / "a_labels.nrrd"))
    sitk.WriteImage(native() + sitk.Cast(labels, sitk.sitkInt16) * 2, str(tmp_path / "a_ct.nrrd"))
    with pytest.raises(InputError, match=r"neither native nor late arterial \(aorta 1\d\d HU\)"):
        recoloured_triple(tmp_path / "a_ct.nrrd", tmp_path / "a_labels.nrrd", seed=0)


@pytest.mark.parametrize("spacing", [(9.0, 9.0, 6.0), (6.0, 6.0, 8.0)])
def test_resampling_keeps_the_place_and_the_mean_of_the_scan(spacing: tuple[float, float, float]) -> None:
    image = native()
    resampled = to_spacing(image, spacing)
    assert resampled.GetSpacing() == pytest.approx(spacing, rel=0.15)

    def faces(each: sitk.Image) -> Array:
        return np.array(each.TransformContinuousIndexToPhysicalPoint([-0.5, -0.5, -0.5]))

    def centre_of_body(each: sitk.Image) -> Array:
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(sitk.Cast(each > -300, sitk.sitkUInt8))
        return np.array(shape.GetCentroid(1))

    assert np.allclose(faces(image), faces(resampled))
    assert np.allclose(centre_of_body(image)[:2], centre_of_body(resampled)[:2], atol=1.5)
    inner = [sitk.GetArrayViewFromImage(each)[2:-2].mean() for each in (image, resampled)]
    assert inner[0] == pytest.approx(inner[1], abs=15)
    assert to_spacing(image, None) is image


def write(folder: Path, **images: sitk.Image) -> None:
    folder.mkdir(parents=True)
    for role, image in images.items():
        sitk.WriteImage(image, str(folder / f"{role}.nrrd"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder and what was prepared of it: two sound pairs, a doubtful one, a bad one, a CECT of patient P1."""
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out") / "prepared"
    labels = sitk.Cast(native() > 20, sitk.sitkUInt8) * 7
    write(data / "pairs" / "P1_a", ncct=native(), arterial=arterial(), labels=labels)
    (data / "pairs" / "labels.csv").write_text("value,name\n7,soft tissue\n", encoding="utf-8")
    write(data / "pairs" / "P2_a", ncct=native(4), arterial=arterial(5))
    write(data / "pairs" / "P3_a", ncct=native(6), arterial=native(7))
    write(data / "pairs" / "P4_a", ncct=native(8), arterial=arterial(9) + 1024)
    write(data / "cect_only" / "P1_b", phase1=venous())
    write(data / "cect_only" / "P2_b", phase1=venous(7))
    assert run(data, out) == 0
    return data, out


def run(data: Path, out: Path, *more: str) -> int:
    options = ("--cect-only", str(data / "cect_only"), "--patient", r"(P\d)_", "--jobs", "2", "--progress", "none")
    return main(["prepare", str(data / "pairs"), str(out), *options, *more])


def test_prepared_cases_are_complete_and_memory_mappable(prepared: tuple[Path, Path]) -> None:
    cases = {case.name: case for case in load_cases(prepared[1])}
    assert sorted(cases) == ["P1_a", "P1_b_phase1", "P2_a", "P2_b_phase1", "P3_a"]
    pair = cases["P1_a"]
    files = {"ncct.npy", "arterial.npy", "arterial_valid.npy", "labels.npy", "case.json", "check.png"}
    assert {file.name for file in pair.folder.iterdir()} == files
    assert (pair.kind, pair.patient, pair.phases, pair.spacing) == ("pair", "P1", ("arterial",), SPACING)
    assert isinstance(pair.volume("arterial"), np.memmap)
    assert pair.volume("ncct").dtype == np.int16
    assert np.array_equal(pair.volume("ncct"), np.maximum(sitk.GetArrayFromImage(native()), AIR_HU))
    assert pair.label_names == {7: "soft tissue"}
    assert set(np.unique(pair.labels())) == {0, 7}
    assert cases["P1_b_phase1"].images() == ["cect"]
    assert cases["P1_b_phase1"].volume("cect").shape == SIZE[::-1]


def test_a_case_is_sent_to_another_process_without_its_voxels(prepared: tuple[Path, Path]) -> None:
    case = next(case for case in load_cases(prepared[1]) if case.name == "P1_a")
    voxels = np.array(case.volume("ncct"))
    sent = bytes(ForkingPickler.dumps(case))
    assert len(sent) < 2000 < voxels.nbytes
    assert np.array_equal(ForkingPickler.loads(sent).volume("ncct"), voxels)


def test_doubtful_cases_are_flagged_and_bad_ones_skipped_with_the_reason(prepared: tuple[Path, Path]) -> None:
    flags = {case.name: case.flag for case in load_cases(prepared[1]) if case.flag}
    assert list(flags) == ["P3_a"] and "shows no contrast medium" in flags["P3_a"]
    manifest = json.loads((prepared[1] / "manifest.json").read_text(encoding="utf-8"))
    assert [one["case"] for one in manifest["skipped"]] == ["P4_a"]
    assert "HU + 1024" in manifest["skipped"][0]["reason"]
    assert (manifest["seed"], manifest["split"], manifest["spacing"]) == (0, "4:1", None)
    assert not (prepared[1] / "P4_a").exists()


def test_all_scans_of_a_patient_are_on_one_side_of_the_split(prepared: tuple[Path, Path]) -> None:
    sides = {patient: set() for patient in ("P1", "P2", "P3")}
    for case in load_cases(prepared[1]):
        sides[case.patient].add(case.split)
    assert sides["P3"] == {"train"}
    assert {frozenset(sides["P1"]), frozenset(sides["P2"])} == {frozenset({"train"}), frozenset({"validation"})}


def test_nothing_prepared_names_a_path_of_the_machine(prepared: tuple[Path, Path]) -> None:
    data, out = prepared
    text = "".join(file.read_text(encoding="utf-8") for file in out.rglob("*.json"))
    assert str(data) not in text and str(out) not in text


def test_only_cases_whose_files_changed_are_prepared_again(
    prepared: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = prepared
    before = {case.name: (case.folder / "case.json").stat().st_mtime_ns for case in load_cases(out)}
    sitk.WriteImage(venous(12), str(data / "cect_only" / "P2_b" / "phase1.nrrd"))
    assert run(data, out) == 0
    after = {case.name: (case.folder / "case.json").stat().st_mtime_ns for case in load_cases(out)}
    assert [name for name in before if before[name] != after[name]] == ["P2_b_phase1"]
    assert "P1_a: kept" in capsys.readouterr().out


def phantoms(out: Path, count: int, *more: str) -> list[str]:
    return ["prepare", str(out), "--phantoms", str(count), "--jobs", "1", "--progress", "none", *SMALL, *more]


def test_phantoms_need_no_data_and_follow_their_options(tmp_path: Path) -> None:
    assert main(phantoms(tmp_path / "out", 2)) == 0
    cases = load_cases(tmp_path / "out")
    assert [(case.name, case.patient, case.shape) for case in cases] == [
        (f"phantom_{seed}", f"phantom_{seed}", (10, 28, 32)) for seed in (100, 101)
    ]
    assert {case.split for case in cases} == {"train", "validation"}
    labels = cases[0].labels()
    assert labels is not None and cases[0].label_names[int(labels.max())]
    first = (cases[0].folder / "ncct.npy").stat().st_mtime_ns
    resized = phantoms(tmp_path / "out", 2)
    resized[resized.index("32")] = "40"
    assert main(resized) == 0
    assert load_cases(tmp_path / "out")[0].shape == (10, 28, 40)
    assert (cases[0].folder / "ncct.npy").stat().st_mtime_ns != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["OUT"], "nothing to prepare"),
        (["DATA", "DATA"], "lie in each other"),
        (["DATA", "DATA/inside"], "lie in each other"),
        (["DATA/P1", "OUT"], "is a case itself"),
        (["DATA", "OUT"], "A split needs pairs of two patients, and there are usable ones only of P1"),
        (["DATA", "OUT", "--split", "1"], "is no ratio"),
        (["DATA", "OUT", "--spacing", "0", "1", "1"], "cannot be right"),
        (["DATA", "OUT", "--jobs", "0"], "--jobs must be 1 or more"),
        (["DATA", "OUT", "--manifest", "x.csv"], "both name the pairs"),
        (["OUT", "--phantoms", "1"], "A split needs phantoms of two patients"),
        (["DATA", "OUT", "--phase", "venous", "--split", "none"], "No case can be used"),
    ],
)
def test_bad_usage_is_one_line_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], message: str
) -> None:
    write(tmp_path / "DATA" / "P1", ncct=native(), arterial=arterial())
    code = main(["prepare", *(str(tmp_path / one) if one.isupper() or "/" in one else one for one in arguments)])
    error = capsys.readouterr().err
    assert code == 2 and message in error and error.count("\n") == 1
    assert {file.name for file in (tmp_path / "DATA" / "P1").iterdir()} == {"ncct.nrrd", "arterial.nrrd"}
    assert not [file for file in (tmp_path / "OUT").rglob("*") if file.name != LOCK]


def test_a_folder_in_use_by_another_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FileLock(tmp_path / LOCK):
        assert main(phantoms(tmp_path, 2)) == 2
    assert "Another run is preparing" in capsys.readouterr().err
    assert main(phantoms(tmp_path, 2)) == 0


def test_a_folder_that_is_no_case_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precious = tmp_path / "phantom_101" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("mine", encoding="utf-8")
    assert main(phantoms(tmp_path, 2)) == 2
    assert "is no prepared case" in capsys.readouterr().err
    assert precious.read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="signals of a process group")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_an_interrupted_run_leaves_whole_cases_and_is_gone_on_with(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "S2LDMTrainerLib", *phantoms(out, 40)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "phantom_101" / "case.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    number = getattr(signal, name)  # Windows has no SIGKILL
    process.send_signal(number)
    errors = process.communicate(timeout=30)[1]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert errors == "s2ldm-train: Cancelled; finished cases are kept. Run the same command again to go on.\n"
    assert not (out / "manifest.json").exists()
    finished = [folder for folder in out.glob("phantom_*") if (folder / "case.json").exists()]
    assert 2 <= len(finished) < 40
    assert all({file.name for file in folder.iterdir()} >= {"ncct.npy", "check.png"} for folder in finished)
    kept = (finished[0] / "ncct.npy").stat().st_mtime_ns
    assert main(phantoms(out, 4)) == 0
    assert (finished[0] / "ncct.npy").stat().st_mtime_ns == kept
    assert len(load_cases(out)) == 4
    assert not list(out.glob(".*.partial"))


@pytest.mark.skipif(os.name == "nt", reason="limits of a process")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))"
    code = f"{limit}; from S2LDMTrainerLib.commands.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *phantoms(tmp_path, 2)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert result.stdout.count(": failed, OSError") == 2
    assert result.stderr.startswith("s2ldm-train: No case can be used: phantom_10") and result.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == [LOCK]


def test_what_a_killed_run_has_left_is_removed_and_cases_stay(tmp_path: Path) -> None:
    for folder in (".phantom_9.partial", "phantom_1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "case.json").write_text("{}")
    (tmp_path / ".s2ldm-0123456789ab.json").write_text("{")
    remove_partials(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["phantom_1"]
