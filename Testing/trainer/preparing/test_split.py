"""The split into training and validation is by patient, seeded, and never empty."""

from __future__ import annotations

from typing import Any

import pytest
from S2LDMLib.errors import InputError
from S2LDMTrainerLib.preparing.split import parse_ratio, split_cases


def case(name: str, patient: str, kind: str = "pair", flag: str | None = None) -> dict[str, Any]:
    return {"case": name, "patient": patient, "kind": kind, "flag": flag}


def pairs(patients: int, sessions: int = 1) -> list[dict[str, Any]]:
    return [case(f"p{p}_{s}", f"p{p}") for p in range(patients) for s in range(sessions)]


def validation(splits: dict[str, str]) -> set[str]:
    return {name for name, split in splits.items() if split == "validation"}


@pytest.mark.parametrize(("patients", "expected"), [(2, 1), (5, 1), (10, 2), (160, 32)])
def test_one_patient_in_five_is_validation_and_one_at_least(patients: int, expected: int) -> None:
    assert len(validation(split_cases(pairs(patients), (4, 1), seed=0))) == expected


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_on_both_sides(seed: int) -> None:
    cases = pairs(6, sessions=3)
    splits = split_cases(cases, (4, 1), seed)
    sides = {each["patient"]: set() for each in cases}
    for each in cases:
        sides[each["patient"]].add(splits[each["case"]])
    assert all(len(side) == 1 for side in sides.values())
    assert set(splits.values()) == {"train", "validation"}


def test_the_seed_chooses_the_patients_and_the_order_of_cases_does_not() -> None:
    cases = pairs(12)
    assert split_cases(cases, (4, 1), 1) == split_cases(cases[::-1], (4, 1), 1)
    assert len({frozenset(validation(split_cases(cases, (4, 1), seed))) for seed in range(8)}) > 1


def test_other_scans_of_a_validation_patient_are_validation_too() -> None:
    cases = pairs(5)
    (held_out,) = validation(split_cases(cases, (4, 1), 0))
    patient = held_out.split("_")[0]
    others = [case("early", patient, "cect"), case("later", "p99", "cect"), case("made", "phantom_1", "phantom")]
    splits = split_cases([*cases, *others], (4, 1), 0)
    assert validation(splits) == {held_out, "early"}


def test_phantoms_are_split_only_where_there_are_no_pairs() -> None:
    phantoms = [case(f"phantom_{n}", f"phantom_{n}", "phantom") for n in range(5)]
    assert len(validation(split_cases(phantoms, (4, 1), 0))) == 1
    both = validation(split_cases([*phantoms, *pairs(3)], (4, 1), 0))
    assert len(both) == 1 and not both & {each["case"] for each in phantoms}


def test_a_patient_with_flagged_pairs_alone_does_not_count() -> None:
    cases = [case("a", "a"), case("b", "b", flag="registration failed")]
    with pytest.raises(InputError, match=r"pairs of two patients.*only of a\."):
        split_cases(cases, (4, 1), 0)


@pytest.mark.parametrize("cases", [pairs(1, sessions=4), [case("c", "c", "cect")]])
def test_too_few_patients_are_refused_unless_no_split_is_wanted(cases: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="--split none"):
        split_cases(cases, (4, 1), 0)
    assert set(split_cases(cases, None, 0).values()) == {"train"}


@pytest.mark.parametrize("text", ["4", "0:1", "4:0", "4:1:1", "a:b", ""])
def test_a_ratio_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--split"):
        parse_ratio(text)
    assert parse_ratio("3:2") == (3, 2)
