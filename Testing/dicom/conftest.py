"""A scan with everything in its headers, for the tests of DICOM output."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_maker import write_series
from dicom_out_samples import STORED, hostile
from S2LDMLib.dicom.reading.series import DicomSeries, find_series


@pytest.fixture
def source(tmp_path: Path) -> DicomSeries:
    write_series(tmp_path / "source", STORED, hostile)
    return find_series(tmp_path / "source")
