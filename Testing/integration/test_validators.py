"""No validator finds an error in a series of ours, whatever it was made from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kinds import KINDS, Exported
from tools import files
from validators import dciodvfy_errors, dicom_validator_errors


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(exported: Callable[[str], Exported], kind: str) -> None:
    assert dciodvfy_errors(exported(kind).folder) == []


@pytest.mark.parametrize("kind", KINDS)
def test_dicom_validator_finds_no_error(exported: Callable[[str], Exported], kind: str) -> None:
    assert dicom_validator_errors(exported(kind).folder) == []


def test_the_validators_find_errors_where_there_are_some(exported: Callable[[str], Exported]) -> None:
    source = exported("bare").source
    assert source and len(files(source)) == 10
    assert any("PatientSex" in error for error in dciodvfy_errors(source))
    assert sum("(0010,0040) TagMissing" in error for error in dicom_validator_errors(source)) == 10
