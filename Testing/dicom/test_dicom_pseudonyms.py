"""Pseudonyms are the same in every process that has the key, and another patient's without it."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

import pytest
from S2LDMLib.dicom.writing.pseudonyms import Pseudonyms, read_key
from S2LDMLib.errors import InputError

UID = "1.2.840.113619.2.55.3"


def test_the_same_key_gives_the_same_pseudonyms_and_another_key_others(tmp_path: Path) -> None:
    first, again = (Pseudonyms(read_key(tmp_path / "sub" / "key")) for _ in range(2))
    other = Pseudonyms(read_key(tmp_path / "other"))
    assert first.uid(UID) == again.uid(UID) != other.uid(UID)
    assert first.patient("P1") == again.patient("P1") != other.patient("P1")
    assert first.patient("P1") != first.patient("P2") and first.uid(UID) != first.uid(UID + ".1")


def test_pseudonyms_are_valid_and_hold_nothing_of_the_original(tmp_path: Path) -> None:
    made = Pseudonyms(read_key(tmp_path / "key"))
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d{0,38})", made.uid(UID)) and len(made.uid(UID)) <= 64
    assert re.fullmatch(r"ANON-[0-9A-F]{16}", made.patient("DOE-1950"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_its_owner_may_read_the_key(tmp_path: Path) -> None:
    read_key(tmp_path / "key")
    assert stat.S_IMODE(os.stat(tmp_path / "key").st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "no key", "ab" * 8])
def test_what_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(InputError, match="--anonymize-key"):
        read_key(tmp_path / "key")
