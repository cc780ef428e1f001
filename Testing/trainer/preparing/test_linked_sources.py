"""Cases behind symbolic links: found like others, each once, and a link to nothing is no missing scan."""

from __future__ import annotations

from pathlib import Path

from dicom_maker import ct_array, write_series
from S2LDMLib.model.config import PHASES
from S2LDMTrainerLib.preparing.case_store import fingerprint
from S2LDMTrainerLib.preparing.dicom_identity import dicom_identity
from S2LDMTrainerLib.preparing.sources import find_pairs

STORED = ct_array((3, 16, 16)) + 1024


def write_case(folder: Path, patient: str) -> Path:
    for role in ("ncct", "venous"):
        write_series(folder / role, STORED, PatientID=patient)
    return folder


def test_a_case_whose_folders_are_links_is_found_with_its_patient(tmp_path: Path) -> None:
    archive = write_case(tmp_path / "archive", "A")
    for role in ("ncct", "venous"):
        (tmp_path / "data" / "P1" / role).mkdir(parents=True)
        (tmp_path / "data" / "P1" / role / "series").symlink_to(archive / role)
        (archive / role / "back").symlink_to(tmp_path / "data" / "P1" / role)
    (source,), skipped = find_pairs(tmp_path / "data", PHASES, None)
    assert source.phases == ("venous",) and not skipped
    whose = dicom_identity(archive / "ncct")
    assert whose is not None and source.patient == whose.patient


def test_a_case_that_is_there_by_a_link_too_counts_once(tmp_path: Path) -> None:
    write_case(tmp_path / "data" / "P1", "A")
    (tmp_path / "data" / "P2").symlink_to(tmp_path / "data" / "P1")
    sources, (skipped,) = find_pairs(tmp_path / "data", PHASES, None)
    assert [source.case for source in sources] == ["P1"]
    assert skipped.case == "P2" and "link to the case P1" in skipped.reason


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    case = write_case(tmp_path / "data" / "P1", "A")
    (case / "arterial").symlink_to(tmp_path / "nowhere")
    write_case(tmp_path / "data" / "P2", "B")
    sources, (skipped,) = find_pairs(tmp_path / "data", PHASES, None)
    assert [source.case for source in sources] == ["P2"]
    assert "arterial" in skipped.reason and "Mend the link" in skipped.reason


def test_a_case_is_prepared_anew_when_what_lies_behind_its_link_changes(tmp_path: Path) -> None:
    archive = write_case(tmp_path / "archive", "A")
    for role in ("ncct", "venous"):
        (tmp_path / "data" / "P1" / role).mkdir(parents=True)
        (tmp_path / "data" / "P1" / role / "series").symlink_to(archive / role)
        (tmp_path / "data" / "P1" / role / "lost").symlink_to(tmp_path / "nowhere")
    ((source,), _) = find_pairs(tmp_path / "data", PHASES, None)
    before = fingerprint(source, {})
    assert fingerprint(source, {}) == before
    next((archive / "ncct").iterdir()).unlink()
    assert fingerprint(source, {}) != before
