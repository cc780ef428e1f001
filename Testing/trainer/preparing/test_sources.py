"""Which cases are found in folders, manifests and DICOM, and whose they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, write_series
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PHASES
from S2LDMTrainerLib.preparing.sources import (
    check_unique,
    compile_patient,
    find_cect_only,
    find_labelled,
    find_pairs,
    phantoms,
    read_label_names,
    read_manifest,
)


def write_case(folder: Path, *names: str) -> Path:
    """A folder with small CT files of these names."""
    folder.mkdir(parents=True)
    for name in names:
        sitk.WriteImage(ct_image((8, 16, 16)), str(folder / name))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two cases, one with a phase missing, of two formats."""
    folder = tmp_path / "data"
    write_case(folder / "P1_2001", "ncct.nii.gz", "arterial.nrrd", "venous.mha", "labels.nii")
    write_case(folder / "P2_2002", "NCCT.nii", "venous.nii.gz")
    return folder


def test_cases_are_found_in_any_format_with_the_phases_they_have(data: Path) -> None:
    sources, skipped = find_pairs(data, PHASES, None)
    assert [(source.case, source.phases, source.kind) for source in sources] == [
        ("P1_2001", PHASES, "pair"),
        ("P2_2002", ("venous",), "pair"),
    ]
    assert sources[0].files["labels"] == data / "P1_2001" / "labels.nii"
    assert sources[0].origin == "data/P1_2001"
    assert not skipped


def test_only_wanted_phases_are_taken_and_a_case_without_them_is_skipped_with_the_reason(data: Path) -> None:
    sources, skipped = find_pairs(data, ("arterial",), None)
    assert [(source.case, source.phases) for source in sources] == [("P1_2001", ("arterial",))]
    assert [one.case for one in skipped] == ["P2_2002"]
    assert "no arterial phase" in skipped[0].reason


def test_a_case_without_ncct_or_with_two_files_of_one_role_is_skipped(data: Path) -> None:
    write_case(data / "P3", "arterial.nrrd")
    write_case(data / "P4", "ncct.nrrd", "arterial.nrrd", "arterial.mha")
    _, skipped = find_pairs(data, PHASES, None)
    assert [one.case for one in skipped] == ["P3", "P4"]
    assert "no ncct" in skipped[0].reason
    assert "arterial is there 2 times (arterial.mha, arterial.nrrd)" in skipped[1].reason


def test_the_patient_is_the_name_or_the_first_group_of_the_pattern(data: Path) -> None:
    assert [source.patient for source in find_pairs(data, PHASES, None)[0]] == ["P1_2001", "P2_2002"]
    named = find_pairs(data, PHASES, compile_patient(r"(P\d+)_"))[0]
    assert [source.patient for source in named] == ["P1", "P2"]


def test_a_case_that_the_patient_pattern_does_not_match_is_skipped(data: Path) -> None:
    sources, skipped = find_pairs(data, PHASES, compile_patient(r"(P1)_"))
    assert [source.case for source in sources] == ["P1_2001"]
    assert "finds no patient in 'P2_2002'" in skipped[0].reason


@pytest.mark.parametrize(("pattern", "message"), [("(a", "no regular expression"), ("abc", "no group")])
def test_a_wrong_patient_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        compile_patient(pattern)


def test_dicom_folders_are_of_the_hashed_patient_and_never_keep_the_id(tmp_path: Path) -> None:
    for case, patient in (("first", "SECRET-77"), ("second", "SECRET-77"), ("third", "OTHER-1")):
        for role in ("ncct", "arterial"):
            write_series(tmp_path / case / role, ct_array((4, 16, 16)), PatientID=patient)
    first, second, third = find_pairs(tmp_path, PHASES, None)[0]
    assert first.patient == second.patient != third.patient
    assert "SECRET" not in repr(first) and first.patient.startswith("patient_")


def test_a_folder_that_holds_no_cases_says_what_it_must_hold(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds no cases.*<case>/ncct"):
        find_pairs(tmp_path / "empty", PHASES, None)
    with pytest.raises(InputError, match="is a case itself"):
        find_pairs(data / "P1_2001", PHASES, None)
    with pytest.raises(InputError, match="is not a folder"):
        find_pairs(tmp_path / "nowhere", PHASES, None)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_manifest_names_cases_patients_and_files_relative_to_itself(data: Path, kind: str) -> None:
    rows = [
        {"case": "one", "patient": "A", "ncct": "P1_2001/ncct.nii.gz", "arterial": "P1_2001/arterial.nrrd"},
        {"case": "two", "patient": "", "ncct": "P2_2002/NCCT.nii", "arterial": "P2_2002/gone.nrrd"},
    ]
    file = data / f"list.{kind}"
    table = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)])
    file.write_text(table if kind == "csv" else json.dumps(rows), encoding="utf-8")
    sources, skipped = read_manifest(file, PHASES, None)
    assert [(one.case, one.patient, one.phases) for one in sources] == [("one", "A", ("arterial",))]
    assert sources[0].files["ncct"].is_file()
    assert skipped[0].case == "two" and "gone.nrrd does not exist" in skipped[0].reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,ncct,arterail\na,b,c\n", "unknown columns: arterail"),
        ("case,ncct,arterial\n", "lists no cases"),
        ("case,ncct,arterial\n../up,a,b\n", "cannot name a folder"),
        ("case,ncct,arterial\n,a,b\n", "cannot name a folder"),
        ("case,ncct,arterial\nx,a,b\nX,a,b\n", "Several cases are named x"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_manifest(file, PHASES, None)


def test_a_json_manifest_that_is_no_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text('{"case": "a"}', encoding="utf-8")
    with pytest.raises(InputError, match="not a list of objects"):
        read_manifest(file, PHASES, None)


def test_label_names_come_from_csv_or_json(tmp_path: Path) -> None:
    assert read_label_names(tmp_path) == {}
    (tmp_path / "labels.json").write_text('{"1": "spleen", "5": "liver"}', encoding="utf-8")
    assert read_label_names(tmp_path) == {1: "spleen", 5: "liver"}
    (tmp_path / "labels.csv").write_text("value,name\n2, kidney \n", encoding="utf-8")
    assert read_label_names(tmp_path) == {2: "kidney"}
    (tmp_path / "labels.csv").write_text("id,name\n2,kidney\n", encoding="utf-8")
    with pytest.raises(InputError, match="no list of labels"):
        read_label_names(tmp_path)


def test_cect_only_and_labelled_scans_are_found(tmp_path: Path) -> None:
    write_case(tmp_path / "cect" / "P1_2003", "phase1.nii.gz", "phase2.nrrd")
    found = find_cect_only(tmp_path / "cect", compile_patient("(P1)_"))
    assert [(one.case, one.patient) for one in found] == [("P1_2003_phase1", "P1"), ("P1_2003_phase2", "P1")]
    write_case(tmp_path / "labelled", "a_ct.nii.gz", "a_labels.nrrd", "b_ct.nii.gz")
    assert [(one.case, one.seed) for one in find_labelled(tmp_path / "labelled", 2)] == [("a_seed0", 0), ("a_seed1", 1)]
    with pytest.raises(InputError, match="holds no volumes"):
        find_cect_only(tmp_path / "labelled", None)
    with pytest.raises(InputError, match="holds no labelled scan"):
        find_labelled(tmp_path / "cect", 1)


def test_each_phantom_is_its_own_patient_and_names_are_unique() -> None:
    made = phantoms(3, first_seed=7)
    names = ["phantom_7", "phantom_8", "phantom_9"]
    assert [one.case for one in made] == [one.patient for one in made] == names
    assert [one.seed for one in made] == [7, 8, 9]
    with pytest.raises(InputError, match="Several cases are named phantom_7"):
        check_unique([*made, *phantoms(1, first_seed=7)])
