"""Registration, recolouring and preparation of training data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from S2LDMTrainerLib import prepare
from S2LDMTrainerLib.recolour import BONE_LABELS, NATIVE, ORGANS, recoloured_triples
from S2LDMTrainerLib.registration import AIR_HU, Registration, register

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SPACING = (4.5, 4.5, 6.0)
SIZE = (64, 54, 16)

Array = np.ndarray


def grid_points() -> tuple[Array, Array, Array]:
    """x, y, z in mm of every voxel, (Z, Y, X), measured from the middle of the volume."""
    axes = [(np.arange(size) - (size - 1) / 2) * step for size, step in zip(SIZE, SPACING, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    return x, y, z


def breathe(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
    """A smooth warp of up to 13 mm, strongest along the patient, in front and on one side."""
    front = np.exp(-((y + 30) ** 2) / 80**2)
    return x + 3 * np.sin(y / 50), y + 4 * np.cos(x / 60) * front, z + 6 + 6 * front * np.cos(x / 70)


def ellipsoid(x: Array, y: Array, z: Array, centre: tuple[float, ...], radii: tuple[float, ...]) -> Array:
    """1 inside, 0 outside, with an edge about 4 mm wide."""
    distance = sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii, strict=True)) ** 0.5
    return np.clip(0.5 + (1 - distance) * min(radii) / 4, 0, 1)


def paint(x: Array, y: Array, z: Array, noise: int, contrast: float = 0.0) -> sitk.Image:
    """An abdomen at points in mm, with `contrast` (HU) in liver, spleen, kidneys, aorta; seeded `noise`."""
    hu = np.full(x.shape, -1000.0)
    for centre, radii, value in [
        ((0, 0, 0), (130, 100, 900), -100),
        ((0, 0, 0), (118, 88, 900), 50),
        ((0, -5, 0), (108, 76, 900), -100),
        ((-45, -20, 15), (55, 48, 38), 55 + contrast),
        ((70, 20, 12), (24, 34, 26), 50 + 1.5 * contrast),
        ((-50, 42, -6), (22, 20, 24), 35 + 2 * contrast),
        ((50, 45, -4), (22, 20, 24), 35 + 2 * contrast),
        ((25, -35, -10), (30, 18, 20), 40),
        ((-10, -50, -30), (20, 14, 12), 30),
        ((8, 22, 0), (11, 11, 900), 40 + 3 * contrast),
        ((0, 55, 0), (20, 18, 900), 250),
        ((0, 78, 0), (10, 9, 900), 300),
    ]:
        inside = ellipsoid(x, y, z, centre, radii)
        hu = hu * (1 - inside) + inside * value
    hu += np.random.default_rng(noise).normal(0, 8, hu.shape)
    image = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin([-(size - 1) / 2 * step for size, step in zip(SIZE, SPACING, strict=True)])
    return image


def scans() -> tuple[sitk.Image, sitk.Image]:
    """NCCT, and the CECT of another breath hold; the CECT was not measured in the two lowest slices."""
    points = grid_points()
    cect = paint(*breathe(*points), noise=2, contrast=60)
    cect[:, :, :2] = AIR_HU
    return paint(*points, noise=1), cect


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
        point = registered.transform.TransformPoint(
            ncct.TransformIndexToPhysicalPoint((int(i), int(j), int(k)))
        )
        assert lowest_measured - 0.1 <= point[2] <= highest_measured + 0.1
    assert valid[z < 40].mean() > 0.6
    assert not valid[-1].all() or not valid[0].all()


def test_register_is_deterministic(registered: Registration) -> None:
    ncct, cect = scans()
    again = register(cect, ncct)
    assert np.array_equal(
        sitk.GetArrayViewFromImage(again.image), sitk.GetArrayViewFromImage(registered.image)
    )


def test_register_refuses_an_empty_scan() -> None:
    ncct, cect = scans()
    with pytest.raises(ValueError, match="no body"):
        register(cect, ncct * 0 + AIR_HU)


@pytest.fixture(scope="module")
def recoloured() -> tuple[dict[str, Array], Array]:
    """A recoloured native abdomen as float32 HU, and its labels on the same grid."""
    folder = SHARED_DATA / "labelled"
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder}")
    _, arrays, spacing = next(recoloured_triples(folder, [1], [NATIVE]))
    labels = sitk.DICOMOrient(sitk.ReadImage(str(folder / f"{NATIVE}_labels.nii.gz")), "LPS")
    size = arrays["ncct"].shape[::-1]
    geometry = (labels.GetOrigin(), spacing, labels.GetDirection())
    labels = sitk.Resample(labels, size, sitk.Transform(), sitk.sitkNearestNeighbor, *geometry)
    return {name: array.astype(np.float32) for name, array in arrays.items()}, sitk.GetArrayFromImage(labels)


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


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with two CECT volumes."""
    monkeypatch.setattr(prepare, "PHANTOM_SEEDS", ())
    folder = tmp_path / "data" / "cect_only" / "HCC_001_19990101"
    folder.mkdir(parents=True)
    for phase in ("phase1", "phase2"):
        sitk.WriteImage(paint(*grid_points(), noise=3, contrast=60), str(folder / f"{phase}.nii.gz"))
    return tmp_path / "data"


def test_prepared_case_is_complete_and_memory_mappable(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert prepare.prepare(data, out, jobs=1) == 0
    folder = out / "HCC_001_19990101_phase1"
    assert {file.name for file in folder.iterdir()} == {"cect.npy", "case.json", "check.png"}
    volume = np.load(folder / "cect.npy", mmap_mode="r")
    assert volume.dtype == np.int16
    assert volume.shape == SIZE[::-1]
    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    assert (case["patient"], case["kind"], case["spacing"]) == ("HCC_001", "cect", list(SPACING))
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert [each["case"] for each in manifest["cases"]] == [f"HCC_001_19990101_phase{n}" for n in (1, 2)]


def test_prepare_resumes_and_survives_a_bad_volume(data: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", []
    bad = data / "cect_only" / "HCC_001_19990101" / "phase2.nii.gz"
    good = bad.read_bytes()
    bad.write_bytes(b"not a volume")
    assert prepare.prepare(data, out, jobs=1, report=lines.append) == 1
    assert any("HCC_001_19990101_phase2: FAILED" in line for line in lines)
    assert not (out / "HCC_001_19990101_phase2").exists()
    first = (out / "HCC_001_19990101_phase1" / "cect.npy").stat().st_mtime_ns
    bad.write_bytes(good)
    assert prepare.prepare(data, out, jobs=1, report=lines.append) == 0
    assert "1 of 2 cases are complete" in lines
    assert (out / "HCC_001_19990101_phase1" / "cect.npy").stat().st_mtime_ns == first
    assert prepare.is_complete(out / "HCC_001_19990101_phase2")


def test_interrupted_case_leaves_nothing_under_its_name(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    task, out = prepare.list_tasks(data)[0], tmp_path / "out"
    monkeypatch.setattr(prepare, "write_check_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare.run_task(task, data, out)
    assert not (out / task.case).exists()
    prepare.write_manifest(out)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["cases"] == []
    monkeypatch.undo()
    prepare.run_task(task, data, out)
    assert [file.name for file in out.glob("*/")] == [task.case]
