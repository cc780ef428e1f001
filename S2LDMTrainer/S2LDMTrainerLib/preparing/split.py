"""Training and validation, by patient: no patient is in both, whatever the kind of the case."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from S2LDMLib.errors import InputError

from ..data import TRAIN, VALIDATION

Ratio = tuple[int, int]


def parse_ratio(text: str) -> Ratio | None:
    """Read ``4:1`` as (4, 1) and ``none`` as None; InputError for anything else."""
    if text == "none":
        return None
    match = re.fullmatch(r"([1-9]\d*):([1-9]\d*)", text)
    if match is None:
        raise InputError(f"--split {text} is no ratio. Give train:validation, such as 4:1, or none.")
    return int(match[1]), int(match[2])


def check_patients(cases: Sequence[tuple[str, str]], ratio: Ratio | None) -> None:
    """Refuse cases that cannot be split.

    Args:
        cases: kind and patient of each case that may be trained on.

    Raises:
        InputError: fewer than two patients to split.
    """
    if ratio is not None:
        patients = _split_patients(cases)
        if len(patients) < 2:
            kind = _split_kind(cases)
            whose = f"usable ones only of {patients[0]}" if patients else "none"
            raise InputError(
                f"A split needs {kind}s of two patients, and there are {whose}. "
                "Add a patient, name patients with --patient, or put all into training with --split none."
            )


def split_cases(cases: Sequence[Mapping[str, Any]], ratio: Ratio | None, seed: int) -> dict[str, str]:
    """Choose ``train`` or ``validation`` for each case.

    Patients are those of the unflagged pairs, or of the phantoms where there are no pairs; of those, one part in
    ``sum(ratio)``, at least one, becomes validation. Any other case of a validation patient is validation as well.
    Which patients they are depends on the seed and their names, so that a new patient seldom moves another.

    Args:
        cases: with ``case``, ``kind``, ``patient`` and ``flag``.

    Raises:
        InputError: fewer than two patients to split.
    """
    usable = [(case["kind"], case["patient"]) for case in cases if case["flag"] is None]
    check_patients(usable, ratio)
    if ratio is None:
        return {case["case"]: TRAIN for case in cases}
    patients = sorted(_split_patients(usable), key=lambda patient: _draw(seed, patient))
    count = min(len(patients) - 1, max(1, round(len(patients) * ratio[1] / sum(ratio))))
    held_out = set(patients[:count])
    return {case["case"]: VALIDATION if case["patient"] in held_out else TRAIN for case in cases}


def _split_kind(cases: Sequence[tuple[str, str]]) -> str:
    kinds = {kind for kind, _ in cases}
    return "phantom" if "phantom" in kinds and "pair" not in kinds else "pair"


def _split_patients(cases: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({patient for kind, patient in cases if kind == _split_kind(cases)})


def _draw(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed} {patient}".encode()).hexdigest()
