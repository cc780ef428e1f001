"""Pseudonyms are the same in every process that has the key, and untraceable without it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import Cli
from dicom_out_samples import PROVENANCE, export, instances, scanned
from pydicom import Dataset
from S2LDMLib.dicom.writing.pseudonyms import Pseudonyms, default_key_file, read_key
from S2LDMLib.errors import InputError, S2LDMWarning
from S2LDMLib.volume.files import write_volume

pytestmark = pytest.mark.filterwarnings("ignore:A new key of pseudonyms")
UID = "1.2.840.113619.2.55.3"
SAME = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
PATIENT = {
    "PatientID": "P-0815", "PatientName": "Muster^Erika", "StudyInstanceUID": "1.2.3.4.6",
    "FrameOfReferenceUID": "1.2.3.4.5",
}  # fmt: skip


@pytest.fixture
def key(tmp_path: Path) -> Path:
    read_key(tmp_path / "own.key")
    return tmp_path / "own.key"


def anonymous(tmp_path: Path, name: str, key: Path, **tags: object) -> Dataset:
    """The first instance of an anonymised result of a scan with these tags."""
    source = scanned(tmp_path / f"{name} source", **PATIENT | tags)
    return export(tmp_path / name, source, anonymize=True, anonymize_key=key)[0]


def said(one: Dataset) -> list[str]:
    return [str(one[keyword].value) for keyword in SAME]


# What stands for what


def test_the_same_key_gives_the_same_pseudonyms_and_another_key_others(tmp_path: Path) -> None:
    first, again = (Pseudonyms(read_key(tmp_path / "key")) for _ in range(2))
    other = Pseudonyms(read_key(tmp_path / "other"))
    assert first.uid(UID) == again.uid(UID) != other.uid(UID)
    assert first.patient("P1") == again.patient("P1") != other.patient("P1")
    assert first.patient("P1") != first.patient("P2") and first.uid(UID) != first.uid(UID + ".1")


def test_pseudonyms_are_valid_and_hold_nothing_of_the_original(tmp_path: Path) -> None:
    made = Pseudonyms(read_key(tmp_path / "key"))
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d{0,38})", made.uid(UID)) and len(made.uid(UID)) <= 64
    assert re.fullmatch(r"ANON-[0-9A-F]{16}", made.patient("DOE-1950"))


def test_another_process_gives_the_same_patient_study_and_sources(tmp_path: Path, key: Path) -> None:
    source = scanned(tmp_path / "source", **PATIENT)
    write_volume(source.read(), tmp_path / "made.nrrd", metadata=PROVENANCE)
    here = export(tmp_path / "here", source, anonymize=True, anonymize_key=key)
    words = ["to-dicom", "made.nrrd", "there", "--source", "source", "--anonymize", "--anonymize-key", str(key)]
    subprocess.run([sys.executable, "-m", "S2LDMLib", *words, "--progress", "none"], cwd=tmp_path, check=True)
    for one, other in zip(here, instances(tmp_path / "there"), strict=True):
        assert said(one) == said(other) and one.SourceImageSequence == other.SourceImageSequence
        assert one.SeriesInstanceUID != other.SeriesInstanceUID and one.SOPInstanceUID != other.SOPInstanceUID
        for uid in (one.StudyInstanceUID, one.SourceImageSequence[0].ReferencedSOPInstanceUID):
            assert uid.is_valid and uid.startswith("2.25.") and len(uid) <= 64
    data = b"".join(file.read_bytes() for file in (tmp_path / "there").iterdir())
    assert key.read_bytes().strip() not in data and not any(value.encode() in data for value in PATIENT.values())


def test_two_studies_of_a_patient_are_of_one_patient(tmp_path: Path, key: Path) -> None:
    one = anonymous(tmp_path, "one", key)
    later = anonymous(tmp_path, "later", key, StudyInstanceUID="1.2.3.4.7")
    assert one.PatientID == later.PatientID and one.StudyInstanceUID != later.StudyInstanceUID


@pytest.mark.parametrize(
    "tags",
    [{"PatientID": "P-0816"}, {"IssuerOfPatientID": "B"}, {"PatientID": "", "StudyInstanceUID": "1.2.3.9"}],
    ids=["another number", "the same number of another hospital", "no number"],
)
def test_two_patients_stay_two(tmp_path: Path, key: Path, tags: dict[str, str]) -> None:
    assert anonymous(tmp_path, "one", key).PatientID != anonymous(tmp_path, "other", key, **tags).PatientID


def test_who_has_neither_number_nor_study_is_nobody_else(tmp_path: Path, key: Path) -> None:
    nobody = {"PatientID": "", "StudyInstanceUID": ""}
    assert len({anonymous(tmp_path, name, key, **nobody).PatientID for name in ("one", "other")}) == 2


def test_another_key_gives_others_within_one_process_too(tmp_path: Path, key: Path) -> None:
    one, other = anonymous(tmp_path, "one", key), anonymous(tmp_path, "other", tmp_path / "new.key")
    assert not set(said(one)) & set(said(other)) and one.SourceImageSequence[0] != other.SourceImageSequence[0]


# The key


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_its_owner_may_read_the_key(tmp_path: Path) -> None:
    read_key(tmp_path / "key")
    assert stat.S_IMODE(os.stat(tmp_path / "key").st_mode) == 0o600


def test_the_users_own_key_is_made_once_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.warns(S2LDMWarning, match="keep it secret"):
        key = read_key()
    assert default_key_file() == tmp_path / "data" / "s2ldm" / "anonymize.key"
    assert read_key() == key and [file.name for file in default_key_file().parent.iterdir()] == ["anonymize.key"]


def test_processes_that_begin_at_once_share_one_key(tmp_path: Path) -> None:
    for attempt in range(20):
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(read_key, [tmp_path / f"key {attempt}"] * 8))
        assert len(keys) == 1
    assert len(list(tmp_path.iterdir())) == 20


@pytest.mark.parametrize("content", ["", "no key", "ab" * 8])
def test_what_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(InputError, match="--anonymize-key"):
        read_key(tmp_path / "key")
    assert (tmp_path / "key").read_text() == content


@pytest.mark.parametrize("place", ["absent/key", "."])
def test_a_place_that_can_hold_no_key_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="--anonymize-key"):
        read_key(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file" / "below"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--anonymize-key"):
        read_key()


@pytest.mark.parametrize("is_dicom", [True, False])
def test_a_key_without_anonymizing_is_refused(tmp_path: Path, cli: Cli, is_dicom: bool) -> None:
    write_volume(scanned(tmp_path / "source").read(), tmp_path / "made.nrrd", metadata=PROVENANCE)
    source = ["--source", tmp_path / "source"] if is_dicom else []
    ended = cli("to-dicom", tmp_path / "made.nrrd", tmp_path / "out", *source, "--anonymize-key", tmp_path / "key")
    assert "--anonymize-key" in ended.refused()
    assert not (tmp_path / "key").exists() and not (tmp_path / "out").exists()
