"""``s2ldm to-dicom`` and ``s2ldm translate --format dicom`` as a user meets them, and what they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import Cli
from dicom_maker import ct_image, write_series
from dicom_out_samples import instances
from pydicom import Dataset
from S2LDMLib.dicom.reading.series import find_series
from S2LDMLib.dicom.writing.burn_in import GROUND_HU, INK_HU, make_label
from S2LDMLib.dicom.writing.resemblance import check_resemblance
from S2LDMLib.errors import InputError, S2LDMWarning
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.volume.files import write_volume
from S2LDMLib.volume.sidecar import write_sidecar
from shared_data import real


def on_the_phantom(phantom: PhantomTriple) -> tuple[np.ndarray, dict[str, object]]:
    """Stored values and tags with which ``write_series`` writes the phantom's NCCT on its own grid."""
    image = sitk.DICOMOrient(phantom.ncct, "LPS")
    spacing, origin = image.GetSpacing(), image.GetOrigin()

    def edit(index: int, slice_: Dataset) -> Dataset:
        slice_.PixelSpacing, slice_.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        slice_.ImagePositionPatient = [origin[0], origin[1], origin[2] + spacing[2] * index]
        return slice_

    return (sitk.GetArrayFromImage(image) + 1024).astype(np.int16), {"edit": edit}


@pytest.fixture(scope="module")
def scan(phantom: PhantomTriple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom as a DICOM series."""
    folder = tmp_path_factory.mktemp("scan") / "dicom"
    stored, options = on_the_phantom(phantom)
    write_series(folder, stored, PatientName="Muster^Erika", PatientID="P-1", **options)
    return folder


@pytest.fixture(scope="module")
def result(scan: Path, small: S2LDMPipeline) -> sitk.Image:
    """A result of the engine on the scan's grid, with its provenance."""
    return small(find_series(scan).read(), "venous", seed=5)


def provenance_of(image: sitk.Image) -> dict[str, str]:
    return {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}


@pytest.fixture
def made(result: sitk.Image, tmp_path: Path) -> Path:
    """The result as a file beside nothing else."""
    write_volume(result, tmp_path / "made.nrrd", metadata=provenance_of(result))
    return tmp_path / "made.nrrd"


def facts_of(one: Dataset) -> str:
    return one.ContributingEquipmentSequence[0].ContributionDescription


# translate ---------------------------------------------------------------------------------------------------------


def test_a_dicom_folder_becomes_a_series_of_the_same_study(
    scan: Path, tmp_path: Path, small_model: Path, result: sitk.Image, cli: Cli
) -> None:
    out = tmp_path / "out"
    words = ("--phase", "venous", "--seed", 5, "--model", small_model, "--device", "cpu", "--dtype", "float32")
    cli("translate", scan, out, *words, "--format", "dicom", "--progress", "none").done()
    made, source = instances(out), find_series(scan)
    assert np.array_equal(np.stack([one.pixel_array for one in made]), sitk.GetArrayFromImage(result))
    for one, original in zip(made, source.slices, strict=True):
        assert one.StudyInstanceUID == original.header.StudyInstanceUID and one.PatientID == "P-1"
        assert one.ImagePositionPatient == original.header.ImagePositionPatient
        assert one.SourceImageSequence[0].ReferencedSOPInstanceUID == original.sop_instance_uid
    assert "seed=5" in facts_of(made[0]) and "phase=venous" in facts_of(made[0])
    assert made[0].ContributingEquipmentSequence[0].SoftwareVersions[1] == result.GetMetaData("S2LDM_revision")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_volume_file_becomes_a_new_study(phantom: PhantomTriple, tmp_path: Path, small_model: Path, cli: Cli) -> None:
    write_volume(phantom.ncct, tmp_path / "ncct.nrrd")
    words = ["--phase", "arterial", "--model", small_model, "--format", "dicom", "--progress", "json"]
    words += ["--patient-name", "Test^One", "--patient-id", "T1", "--study-description", "trial"]
    shown = cli("translate", tmp_path / "ncct.nrrd", tmp_path / "out", *words).done()
    told = [json.loads(line) for line in shown.splitlines()]
    assert (told[-1]["stage"], told[-1]["fraction"]) == ("write", 1)
    one = instances(tmp_path / "out")[0]
    assert (one.PatientName, one.PatientID, one.StudyDescription) == ("Test^One", "T1", "trial")
    assert "SourceImageSequence" not in one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out"], "add --format dicom"),
        (["out.dcm"], ".nii.gz or .nrrd or .mha"),
        (["out.nrrd", "--burn-in"], "--burn-in needs --format dicom"),
        (["out.nrrd", "--patient-id", "3"], "--patient-id needs --format dicom"),
        (["out", "--format", "dicom", "--sidecar"], "--sidecar is for a volume file"),
        (["full", "--format", "dicom"], "full is not empty"),
        (["full", "--format", "dicom", "--overwrite"], "holds precious.txt"),
        (["absent/out", "--format", "dicom"], "absent does not exist"),
        (["out", "--format", "dicom", "--patient-name", "X"], "stays with its own patient"),
        (["out", "--format", "dicom", "--series", "1.2.3"], "no series 1.2.3"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_any_work(
    scan: Path, tmp_path: Path, arguments: list[str], message: str, cli: Cli
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("precious")
    out, *options = arguments
    # A model that is not there: whoever looks at it first would say so.
    ended = cli("translate", scan, tmp_path / out, "--phase", "venous", "--model", "no/such/folder", *options)
    assert message in ended.refused()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["full", "precious.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a process of its own")
def test_interrupted_while_writing_nothing_is_left(tmp_path: Path, result: sitk.Image) -> None:
    write_volume(ct_image((800, 32, 32)), tmp_path / "made.nrrd", metadata=provenance_of(result))
    command = ["to-dicom", str(tmp_path / "made.nrrd"), str(tmp_path / "out"), "--progress", "json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "S2LDMLib", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert '"write"' in process.stdout.readline()
    assert len(list(tmp_path.glob(".out.*.partial"))) == 1
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and said == "s2ldm: Cancelled; nothing was written.\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["made.nrrd"]


# to-dicom ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz"])
def test_a_volume_made_earlier_joins_the_study_of_its_source(
    scan: Path, tmp_path: Path, result: sitk.Image, suffix: str, cli: Cli
) -> None:
    volume, out = tmp_path / f"made{suffix}", tmp_path / "out"
    write_volume(result, volume, metadata=provenance_of(result))
    if suffix == ".nii.gz":
        write_sidecar(volume, provenance_of(result))
    assert cli("to-dicom", volume, "--source", scan, out, "--progress", "none") == (0, f"{out}\n", "")
    made = instances(out)
    assert np.array_equal(np.stack([one.pixel_array for one in made]), sitk.GetArrayFromImage(result))
    assert "seed=5" in facts_of(made[0])
    assert "DerivationCodeSequence" not in made[0] and made[0].PatientName == "Muster^Erika"


def test_nifti_without_its_json_says_what_is_not_recorded(
    scan: Path, tmp_path: Path, result: sitk.Image, cli: Cli
) -> None:
    write_volume(result, tmp_path / "made.nii.gz", metadata=provenance_of(result))
    ended = cli("to-dicom", tmp_path / "made.nii.gz", "--source", scan, tmp_path / "out")
    assert ended.code == 0 and "warning" in ended.err and "made.json" in ended.err
    one = instances(tmp_path / "out")[0]
    assert one.SeriesDescription.startswith("SYNTHETIC venous") and "seed not recorded" in one.DerivationDescription


def test_a_volume_saved_anew_by_another_program_is_known_by_its_json(
    scan: Path, tmp_path: Path, result: sitk.Image, cli: Cli
) -> None:
    write_volume(result, tmp_path / "made.nrrd")  # without any metadata
    write_sidecar(tmp_path / "made.nrrd", provenance_of(result))
    cli("to-dicom", tmp_path / "made.nrrd", "--source", scan, tmp_path / "out").done()
    assert "seed=5" in facts_of(instances(tmp_path / "out")[0])


def test_a_real_scan_is_never_exported_as_synthetic(
    scan: Path, phantom: PhantomTriple, tmp_path: Path, cli: Cli
) -> None:
    for name in ("real.nrrd", "real.nii.gz"):
        write_volume(phantom.ncct, tmp_path / name, metadata={"description": "CT of the abdomen"})
        said = cli("to-dicom", tmp_path / name, "--source", scan, tmp_path / "out").refused()
        assert "a real scan must not" in said and not (tmp_path / "out").exists()


def test_facts_that_contradict_the_volume_are_refused(scan: Path, tmp_path: Path, result: sitk.Image, cli: Cli) -> None:
    facts = provenance_of(result)
    write_volume(result, tmp_path / "made.nii.gz", metadata=facts)
    write_sidecar(tmp_path / "made.nii.gz", {**facts, "S2LDM_phase": "arterial"})
    words = ("to-dicom", tmp_path / "made.nii.gz", "--source", scan, tmp_path / "out")
    assert "is venous, and" in cli(*words).refused()
    write_sidecar(tmp_path / "made.nii.gz", facts, overwrite=True)
    (tmp_path / "made.json").write_text((tmp_path / "made.json").read_text().replace("made.nii.gz", "other.nii.gz"))
    assert "is about other.nii.gz" in cli(*words).refused()
    (tmp_path / "made.json").write_text("{")
    assert "cannot be read" in cli(*words).refused()


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_a_standard_deviation_is_no_ct(scan: Path, tmp_path: Path, result: sitk.Image, suffix: str, cli: Cli) -> None:
    facts = provenance_of(result)
    facts["description"] += "; standard deviation of 3 samples"
    write_volume(result, tmp_path / f"sd{suffix}", metadata=facts)
    said = cli("to-dicom", tmp_path / f"sd{suffix}", "--source", scan, tmp_path / "out").refused()
    assert "standard deviation" in said


def test_a_volume_of_another_patient_is_refused(scan: Path, tmp_path: Path, result: sitk.Image, cli: Cli) -> None:
    other = sitk.Flip(result, (False, True, False), False)  # on the very same grid, and another body
    other.CopyInformation(result)
    write_volume(other, tmp_path / "other.nrrd", metadata=provenance_of(result))
    said = cli("to-dicom", tmp_path / "other.nrrd", "--source", scan, tmp_path / "out").refused()
    assert "does not look like the source series" in said
    check_resemblance(result, find_series(scan).read())


def test_a_real_contrast_phase_resembles_its_own_scan_alone(real_ncct: sitk.Image) -> None:
    with pytest.warns(S2LDMWarning, match="less like the source series"):
        check_resemblance(real("pairs/HCC_005_19990123/arterial"), real_ncct)
    with pytest.raises(InputError, match="another patient"):
        check_resemblance(real("pairs/HCC_007_19980314/arterial"), real_ncct)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{made}", "{out}", "--series", "1.2"], "--series needs --source"),
        (["{made}", "{out}", "--anonymize"], "--anonymize is for a DICOM source"),
        (["{made}", "{out}", "--source", "{out}"], "does not exist"),
        (["{tmp}/absent.nrrd", "{out}"], "absent.nrrd does not exist"),
        (["{scan}", "{out}"], "is a folder. Give the volume file"),
        (["{made}", "{scan}", "--overwrite"], "which is not of a series"),
    ],
)
def test_bad_usage_is_one_line(
    scan: Path, tmp_path: Path, made: Path, arguments: list[str], message: str, cli: Cli
) -> None:
    places = {"made": made, "out": tmp_path / "out", "tmp": tmp_path, "scan": scan}
    assert message in cli("to-dicom", *(word.format(**places) for word in arguments)).refused()
    assert [entry.name for entry in tmp_path.iterdir()] == ["made.nrrd"]


# The label in the pixels -------------------------------------------------------------------------------------------


def test_a_burnt_in_label_changes_its_corner_alone_and_is_recorded(
    scan: Path, tmp_path: Path, result: sitk.Image, made: Path, cli: Cli
) -> None:
    cli("to-dicom", made, "--source", scan, tmp_path / "out", "--burn-in").done()
    plain = sitk.GetArrayFromImage(result)
    label = make_label(("SYNTHETIC", "VENOUS"), plain.shape[2], plain.shape[1])
    height, width = label.shape
    for one, plane in zip(instances(tmp_path / "out"), plain, strict=True):
        assert (one.BurnedInAnnotation, one.SyntheticData) == ("YES", "YES")
        assert "label is written into the pixels" in one.DerivationDescription
        assert np.array_equal(one.pixel_array[:height, :width], label)
        changed = one.pixel_array != plane
        changed[:height, :width] = False
        assert not changed.any()


@pytest.mark.parametrize("size", [32, 40, 64, 100, 256, 512, 1024])
def test_the_label_is_whole_and_leaves_the_plane_visible(size: int) -> None:
    label = make_label(("SYNTHETIC", "ARTERIAL"), size, size)
    height, width = label.shape
    assert set(np.unique(label)) == {INK_HU, GROUND_HU}
    assert height <= size * 0.6 and width <= size
    assert height * width <= 0.6 * size * size
    ink = label == INK_HU
    assert not ink[:, -1].any() and not ink[0].any()  # no letter is cut off
    assert 0.05 < ink.mean() < 0.6
    alone = make_label(("SYNTHETIC",), size, size)
    assert (alone == INK_HU).sum() > 60  # nine letters of at least 7 pixels each


# Privacy -----------------------------------------------------------------------------------------------------------

IDENTIFYING = {
    "PatientName": "Muster^Erika", "PatientID": "P-0815", "PatientBirthDate": "19570312", "PatientSex": "F",
    "PatientAge": "069Y", "PatientWeight": "71.5", "IssuerOfPatientID": "KLINIKUM", "StudyDate": "20260102",
    "StudyTime": "101112.123456", "StudyID": "S17", "StudyDescription": "Erikas Abdomen", "AccessionNumber": "A-77",
    "ReferringPhysicianName": "Arzt^Anna", "AcquisitionDate": "20260103", "AcquisitionTime": "101530.123456",
    "SeriesDescription": "plain Erika", "TimezoneOffsetFromUTC": "+0300", "FrameOfReferenceUID": "1.2.3.4.5",
    "StudyInstanceUID": "1.2.3.4.6",
}  # fmt: skip


@pytest.fixture
def anonymous(phantom: PhantomTriple, made: Path, tmp_path: Path, cli: Cli) -> Callable[..., list[Dataset]]:
    """Exports the result anonymised."""

    def export(*options: str) -> list[Dataset]:
        stored, edit = on_the_phantom(phantom)
        issuer = Dataset()
        issuer.LocalNamespaceEntityID = "HOSPITAL"
        write_series(tmp_path / "scan", stored, **edit, **IDENTIFYING, IssuerOfAccessionNumberSequence=[issuer])
        cli("to-dicom", made, "--source", tmp_path / "scan", tmp_path / "out", "--anonymize", *options).done()
        return instances(tmp_path / "out")

    return export


def test_anonymized_nothing_identifies_the_patient_and_all_says_synthetic(
    anonymous: Callable[..., list[Dataset]], tmp_path: Path
) -> None:
    made = anonymous()
    data = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir())
    assert b"HOSPITAL" not in data
    for keyword, value in IDENTIFYING.items():
        assert not [one for one in made if str(one.get(keyword, "")) == value], keyword
        assert len(value) < 5 or value.encode() not in data, keyword
    sources = {slice_.sop_instance_uid for slice_ in find_series(tmp_path / "scan").slices}
    assert not [uid for uid in sources if uid.encode() in data]
    for one in made:
        assert not [element for element in one.iterall() if element.VR in ("DA", "TM", "DT") and element.value]
        assert one.PatientIdentityRemoved == "YES" and "Basic Profile" in one.DeidentificationMethod
        codes = [item.CodeValue for item in one.DeidentificationMethodCodeSequence]
        assert codes == ["113100", "113105"] and one.LongitudinalTemporalInformationModified == "REMOVED"
        assert "SYNTHETIC" in str(one.PatientName) and one.PatientID.startswith("ANON-")
        assert one.SeriesDescription == "SYNTHETIC venous CECT" and one.SyntheticData == "YES"
        assert one.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert one.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
    assert len({(one.StudyInstanceUID, one.FrameOfReferenceUID, one.PatientID) for one in made}) == 1
    assert len({one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in made}) == len(made)


def test_a_pseudonym_takes_the_place_of_the_patient(anonymous: Callable[..., list[Dataset]]) -> None:
    one = anonymous("--patient-name", "Case^7", "--patient-id", "C7", "--study-description", "Trial X")[0]
    assert (one.PatientName, one.PatientID, one.StudyDescription) == ("Case^7", "C7", "Trial X")


def test_two_results_of_a_patient_stay_one_patient_and_study_from_process_to_process(
    scan: Path, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "whose.json").write_text('{"patient_name": "Case^7"}')
    options = ["--anonymize", "--anonymize-key", tmp_path / "key", "--patient", tmp_path / "whose.json"]
    seen = []
    for name in ("one", "two"):
        words = ["to-dicom", made, "--source", scan, tmp_path / name, "--progress", "none", *options]
        done = subprocess.run([sys.executable, "-m", "S2LDMLib", *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        seen.append(instances(tmp_path / name)[0])
    assert len({(one.PatientID, one.StudyInstanceUID) for one in seen}) == 1  # the source has no frame of reference
    assert seen[0].SeriesInstanceUID != seen[1].SeriesInstanceUID and seen[0].PatientName == "Case^7"


@pytest.mark.parametrize("content", ["no json", "[]", '{"name": "X"}', '{"patient_id": 7}'])
def test_a_file_that_does_not_say_whose_it_is_is_refused(
    scan: Path, made: Path, tmp_path: Path, content: str, cli: Cli
) -> None:
    (tmp_path / "whose.json").write_text(content)
    said = cli("to-dicom", made, tmp_path / "out", "--patient", tmp_path / "whose.json").refused()
    assert "patient_name" in said


def test_anonymizing_needs_its_library_and_says_how_to_get_it(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.setitem(sys.modules, "dicomanonymizer", None)  # as if it were not installed
    words = ("translate", scan, tmp_path / "out", "--phase", "venous", "--model", "no/such/folder", "--format", "dicom")
    assert "pip install 'dicom-anonymizer" in cli(*words, "--anonymize").refused()
    assert not (tmp_path / "out").exists()


def test_what_is_written_in_the_sources_pixels_cannot_be_anonymized(
    phantom: PhantomTriple, made: Path, tmp_path: Path, cli: Cli
) -> None:
    stored, edit = on_the_phantom(phantom)
    write_series(tmp_path / "scan", stored, **edit, BurnedInAnnotation="YES")
    words = ("to-dicom", made, "--source", tmp_path / "scan", tmp_path / "out")
    assert "burned into its pixels" in cli(*words, "--anonymize").refused()
    cli(*words).done()
    assert {one.BurnedInAnnotation for one in instances(tmp_path / "out")} == {"YES"}
