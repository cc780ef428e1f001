"""Bad pairs are found before registration, each with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import painted_abdomen
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, write_series
from S2LDMLib.errors import InputError
from S2LDMTrainerLib.preparing.pair_checks import CheckFindings, check_files
from S2LDMTrainerLib.preparing.sources import Source
from shared_data import SHARED_DATA


def pair(folder: Path, **images: sitk.Image) -> Source:
    """A case of these images by role."""
    files = {role: folder / f"{role}.nrrd" for role in images}
    for role, image in images.items():
        sitk.WriteImage(image, str(files[role]))
    return Source("case", "pair", "patient", files, "data/case")


def dicom_pair(folder: Path, ncct: dict[str, str], arterial: dict[str, str]) -> Source:
    """A case of two DICOM series with these tags."""
    for seed, (role, tags) in enumerate({"ncct": ncct, "arterial": arterial}.items()):
        write_series(folder / role, ct_array((12, 48, 64), seed) + 1024, **tags)
    return Source("case", "pair", "patient", {role: folder / role for role in ("ncct", "arterial")}, "data/case")


def test_a_sound_pair_raises_no_doubt(tmp_path: Path) -> None:
    images = {"ncct": painted_abdomen.native(), "arterial": painted_abdomen.arterial()}
    assert check_files(pair(tmp_path, **images, venous=painted_abdomen.venous())).flag is None


def test_one_scan_given_twice_is_refused(tmp_path: Path) -> None:
    same = painted_abdomen.venous()
    source = pair(tmp_path, ncct=painted_abdomen.native(), arterial=same, venous=same)
    with pytest.raises(InputError, match="arterial and venous are the same scan"):
        check_files(source)


def test_ncct_and_cect_swapped_are_refused(tmp_path: Path) -> None:
    source = pair(tmp_path, ncct=painted_abdomen.arterial(), arterial=painted_abdomen.native())
    with pytest.raises(InputError, match="ncct is contrast-enhanced and arterial is not"):
        check_files(source)


def test_an_enhanced_ncct_is_flagged(tmp_path: Path) -> None:
    source = pair(tmp_path, ncct=painted_abdomen.venous(), arterial=painted_abdomen.arterial())
    assert "enhanced already" in str(check_files(source).flag)


@pytest.mark.parametrize("role", ["ncct", "arterial"])
def test_a_scan_that_is_not_in_hu_is_refused_by_name(tmp_path: Path, role: str) -> None:
    images = {"ncct": painted_abdomen.native(), "arterial": painted_abdomen.arterial()}
    with pytest.raises(InputError, match=rf"^{role}: .*looks like HU \+ 1024"):
        check_files(pair(tmp_path, **images | {role: images[role] + 1024}))


def test_a_cect_alone_must_be_a_ct_too(tmp_path: Path) -> None:
    source = Source("case", "cect", "patient", {"cect": tmp_path / "cect.nrrd"}, "data/case")
    sitk.WriteImage(painted_abdomen.venous(), str(source.files["cect"]))
    assert check_files(source) == CheckFindings()
    sitk.WriteImage(painted_abdomen.venous() + 1024, str(source.files["cect"]))
    with pytest.raises(InputError, match=r"^cect: .*looks like HU \+ 1024"):
        check_files(source)


def test_a_volume_of_few_voxels_is_refused(tmp_path: Path) -> None:
    source = pair(tmp_path, ncct=painted_abdomen.native(), arterial=painted_abdomen.arterial()[:, :, :4])
    with pytest.raises(InputError, match=r"^arterial: .*too small"):
        check_files(source)


@pytest.mark.parametrize("shift", [(0, 0, 85), (0, 0, -300), (200, 0, 0)])
def test_scans_that_hardly_overlap_are_refused_with_the_lengths(tmp_path: Path, shift: tuple[float, ...]) -> None:
    moved = painted_abdomen.arterial()
    moved.SetOrigin(np.add(moved.GetOrigin(), shift).tolist())
    with pytest.raises(InputError, match="ncct and arterial share only"):
        check_files(pair(tmp_path, ncct=painted_abdomen.native(), arterial=moved))


def test_a_cect_of_half_the_length_is_no_problem(tmp_path: Path) -> None:
    source = pair(tmp_path, ncct=painted_abdomen.native(), arterial=painted_abdomen.arterial()[:, :, 8:])
    assert check_files(source).flag is None


def test_series_of_different_patients_are_refused_without_naming_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different patients") as caught:
        check_files(dicom_pair(tmp_path, {"PatientID": "SECRET-1"}, {"PatientID": "SECRET-2"}))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(("second", "flagged"), [("1.2.3", False), ("1.2.4", True)])
def test_different_frames_of_reference_are_flagged(tmp_path: Path, second: str, flagged: bool) -> None:
    doubts = check_files(dicom_pair(tmp_path, {"FrameOfReferenceUID": "1.2.3"}, {"FrameOfReferenceUID": second}))
    assert ("frames of reference" in str(doubts.flag)) == flagged


def test_labels_must_be_whole_numbers_on_the_ncct(tmp_path: Path) -> None:
    ncct = painted_abdomen.native()
    labels = sitk.Cast(ncct > 0, sitk.sitkUInt8)
    good = pair(tmp_path, ncct=ncct, arterial=painted_abdomen.arterial(), labels=labels)
    assert check_files(good).flag is None
    far = sitk.Image(labels)
    far.SetOrigin((1e4, 0, 0))
    with pytest.raises(InputError, match="labels do not cover the ncct"):
        check_files(pair(tmp_path, ncct=ncct, arterial=painted_abdomen.arterial(), labels=far))
    with pytest.raises(InputError, match="is no label map"):
        check_files(pair(tmp_path, ncct=ncct, arterial=painted_abdomen.arterial(), labels=ncct))


@pytest.mark.slow
@pytest.mark.parametrize("session", ["HCC_005_19990123", "HCC_007_19971227", "HCC_007_19980314"])
def test_real_pairs_raise_no_doubt(session: str) -> None:
    folder = SHARED_DATA / "pairs" / session
    if not folder.is_dir():
        pytest.skip(f"real data is absent: {folder}")
    files = {role: folder / f"{role}.nii.gz" for role in ("ncct", "arterial", "venous")}
    assert check_files(Source(session, "pair", session, files, session)).flag is None
