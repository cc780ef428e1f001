"""``s2ldm to-dicom --source-list``: a source whose files lie anywhere, as in Slicer's DICOM database."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Cli
from dicom_maker import ct_array, write_series
from S2LDMLib.dicom.reading.series import find_series
from S2LDMLib.volume.files import write_volume

PROVENANCE = {"description": "SYNTHETIC venous CECT by S2LDM 0.1.0", "S2LDM_phase": "venous"}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A series, each file of which lies in a folder of its own; a result of it is beside them."""
    written = write_series(tmp_path / "scan", ct_array((6, 24, 32)) + np.int16(1024))
    write_volume(find_series(tmp_path / "scan").read(), tmp_path / "made.nrrd", metadata=PROVENANCE)
    for number, file in enumerate(written):
        (tmp_path / f"place {number}").mkdir()
        written[number] = file.rename(tmp_path / f"place {number}" / file.name)
    return written


def words(folder: Path) -> tuple[object, ...]:
    return "to-dicom", folder / "made.nrrd", folder / "out", "--source-list", folder / "list.txt"


def test_files_from_many_folders_are_one_source(files: list[Path], tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "list.txt").write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
    *progress, folder = cli(*words(tmp_path), "--progress", "json").done().splitlines()
    assert [json.loads(line)["stage"] for line in progress] == ["write"] * 6 and folder == str(tmp_path / "out")
    source, made = find_series(files), find_series(tmp_path / "out")
    assert made.slices[0].header.StudyInstanceUID == source.slices[0].header.StudyInstanceUID
    referenced = [one.header.SourceImageSequence[0].ReferencedSOPInstanceUID for one in made.slices]
    assert referenced == [one.sop_instance_uid for one in source.slices]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "list.txt cannot be read"), (b"\xff\xfe", "list.txt cannot be read"), (b"", "No DICOM files were given"),
     (b"/no/such/file.dcm\n", "/no/such/file.dcm")],
)  # fmt: skip
def test_a_bad_list_is_one_line(
    files: list[Path], tmp_path: Path, cli: Cli, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    assert message in cli(*words(tmp_path)).refused() and not (tmp_path / "out").exists()
