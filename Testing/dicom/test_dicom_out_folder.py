"""The folder of an exported series: whole or absent, whatever happens, and never in place of other files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import ct_image
from S2LDMLib.dicom.writing.options import ExportOptions
from S2LDMLib.dicom.writing.output_folder import check_output_folder
from S2LDMLib.dicom.writing.writer import write_series
from S2LDMLib.errors import Cancelled, InputError

PROVENANCE = {"S2LDM_phase": "venous", "S2LDM_version": "0.1.0"}
SLICES = 12
new_or_over_an_old_series = pytest.mark.parametrize("there", [False, True], ids=["new", "over an old series"])


def export(folder: Path, overwrite: bool = False, image: sitk.Image | None = None, **hooks: Callable) -> Path:
    return write_series(image or ct_image(), folder, None, PROVENANCE, ExportOptions(overwrite=overwrite), **hooks)


def series_of(folder: Path) -> str:
    (uid,) = {pydicom.dcmread(file).SeriesInstanceUID for file in folder.iterdir()}
    return uid


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_a_new_or_empty_folder_holds_the_series_and_nothing_lies_beside_it(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "out").mkdir()
    assert export(tmp_path / "out") == tmp_path / "out"
    assert len(list((tmp_path / "out").iterdir())) == SLICES
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_series_is_replaced_only_with_overwrite_and_then_altogether(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(out, image=ct_image((20, 48, 64)))
    old = series_of(out)
    with pytest.raises(InputError, match=r"not empty.*--overwrite"):
        export(out)
    assert series_of(out) == old
    export(out, overwrite=True)
    assert len(list(out.iterdir())) == SLICES and series_of(out) != old
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("other", ["notes.txt", "scan.dcm", "foreign.dcm", "sub/0001.dcm"])
def test_a_folder_with_other_peoples_files_is_never_replaced(tmp_path: Path, other: str) -> None:
    out = export(tmp_path / "out")
    file = out / other
    file.parent.mkdir(exist_ok=True)
    if other in ("scan.dcm", "foreign.dcm"):  # DICOM that is not synthetic, or of another program
        scan = pydicom.dcmread(out / "0001.dcm")
        scan.SyntheticData, scan.Manufacturer = ("NO", "S2LDM") if other == "scan.dcm" else ("YES", "GE")
        scan.save_as(file)
    else:
        file.write_text("precious")
    before = {entry: entry.read_bytes() for entry in out.rglob("*") if entry.is_file()}
    with pytest.raises(InputError, match=f"holds {other.split('/')[0]}, which is not"):
        export(out, overwrite=True)
    assert {entry: entry.read_bytes() for entry in out.rglob("*") if entry.is_file()} == before


def test_files_that_come_while_it_writes_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def somebody_saves(progress: object) -> None:
        out.mkdir(exist_ok=True)
        (out / "notes.txt").write_text("precious")

    for overwrite in (False, True):
        with pytest.raises(InputError):
            export(out, overwrite, on_progress=somebody_saves)
        assert [file.name for file in out.iterdir()] == ["notes.txt"]
        assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
        (out / "notes.txt").unlink()


@contextmanager
def nothing_changes(out: Path, there: bool) -> Iterator[None]:
    """A series lies in a folder, or nothing is there; so it is afterwards."""
    before = series_of(export(out)) if there else None
    yield
    assert [entry.name for entry in out.parent.iterdir()] == (["out"] if there else [])
    assert not there or series_of(out) == before


@new_or_over_an_old_series
def test_cancelling_leaves_what_was_there(tmp_path: Path, there: bool) -> None:
    out, asked = tmp_path / "out", iter([False] * 5 + [True])
    with nothing_changes(out, there), pytest.raises(Cancelled):
        export(out, overwrite=there, should_cancel=lambda: next(asked))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
@new_or_over_an_old_series
def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path: Path, there: bool) -> None:
    import resource

    out = tmp_path / "out"
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    with nothing_changes(out, there):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, old[1]))
        try:
            with pytest.raises(InputError, match=r"out could not be written \(File too large\)") as caught:
                export(out, overwrite=there)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert "\n" not in str(caught.value)


KILLED = """
import os, sys, time
from pathlib import Path
from dicom_maker import ct_image
from S2LDMLib.dicom.writing.options import ExportOptions
from S2LDMLib.dicom.writing.writer import write_series
def slowly(progress):
    print(progress.fraction, flush=True)
    time.sleep(0.3)
options = ExportOptions(overwrite=True)
write_series(ct_image(), sys.argv[1], None, {"S2LDM_phase": "venous"}, options, on_progress=slowly)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@new_or_over_an_old_series
def test_killed_while_writing_there_is_no_half_series(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "out"
    before = series_of(export(out)) if there else None
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "makers")}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(out)], stdout=subprocess.PIPE, env=environment)
    for _ in range(3):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert out.exists() == there and (not there or series_of(out) == before)
    export(out, overwrite=there)  # and what the killed process left does not stand in the way
    assert len(list(out.iterdir())) == SLICES


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and len(list((tmp_path / "real").iterdir())) == SLICES


def test_unusable_folders_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for folder, words in [
        (tmp_path / "file", "is a file"),
        (tmp_path / "absent" / "out", "does not exist"),
        (Path("/"), "root of a disk"),
        (Path("."), "is the current folder"),
    ]:
        with pytest.raises(InputError, match=words):
            check_output_folder(folder, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where even root may not write")
def test_a_folder_that_may_not_be_written_is_refused() -> None:
    with pytest.raises(InputError, match="not writable"):
        check_output_folder("/proc/self/out", overwrite=True)


def test_progress_rises_to_the_end(tmp_path: Path) -> None:
    told = []
    export(tmp_path / "out", on_progress=told.append)
    assert [round(each.fraction * SLICES) for each in told] == list(range(1, SLICES + 1))
    assert {each.stage for each in told} == {"write"}
    assert all(each.remaining >= 0 for each in told) and told[-1].remaining == 0
