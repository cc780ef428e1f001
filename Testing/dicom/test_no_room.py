"""Compressed pixels need no temporary folder, or the lack of one is told as what it is."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pydicom.uid as syntaxes
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, transcode, write_series
from refusals import refused
from S2LDMLib.dicom.reading.scratch import readable_by_path
from S2LDMLib.errors import InputError
from S2LDMLib.reading import read_volume

STORED = ct_array((3, 48, 64)) + 1024


@pytest.fixture
def compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A series, read where the temporary folder is not there."""
    for path in write_series(tmp_path / "series", STORED):
        transcode(path, syntaxes.JPEG2000Lossless)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    return tmp_path / "series"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs files in memory")
def test_compressed_slices_are_read_without_a_temporary_folder(compressed: Path) -> None:
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(compressed)), STORED - 1024)


def test_without_room_it_is_not_the_pixels_that_are_blamed(compressed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    refused(compressed, "no room for temporary files", str(compressed.parent / "absent"), "set TMPDIR")
    monkeypatch.setattr(tempfile, "tempdir", str(compressed.parent))
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(compressed)), STORED - 1024)
    assert sorted(path.name for path in compressed.parent.iterdir()) == ["series"]


def test_a_full_temporary_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match="no room for temporary files"), readable_by_path(fill):
        pass
    assert not list(tmp_path.iterdir())
