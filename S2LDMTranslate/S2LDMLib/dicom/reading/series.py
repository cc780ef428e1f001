"""One CT series of a folder: found and judged by its headers, then read as a volume in HU.

A DICOM folder guarantees nothing: slices may be missing, doubled, sheared by a tilted gantry or without HU. ITK's
series reader stacks them all the same, evenly spaced. So the headers are judged first: copies are dropped and tilted or
uneven slices interpolated, each with a warning, and everything else is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk

from ...errors import InputError
from .belonging import check_one_pass, check_one_patient
from .choice import SeriesSummary, by_series, choose, is_ct, summarise
from .duplicates import without_duplicates
from .files import deeper_files, direct_files, is_directory_file, listed_files
from .headers import Header, read_header
from .pixels import check_compression
from .slices import DicomSlice, slices_of
from .stack import StackLayout, check_alike, in_order, lay_out
from .volume import make_volume

Source = Path | str | Sequence[Path | str]


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """A CT series that can be read.

    Attributes:
        uid: SeriesInstanceUID.
        slices: in the order of the image's third axis, rising along row x column.
        regular: whether slice k of the image is ``slices[k]``; False where a tilted gantry or uneven distances made
            an interpolation necessary, and the image has a grid of its own.
        warnings: what the user should know, one sentence each.
        phase_hint: what its headers tell of contrast, see :class:`~.choice.SeriesSummary`; they may be wrong.
    """

    uid: str
    slices: tuple[DicomSlice, ...]
    regular: bool
    warnings: tuple[str, ...]
    phase_hint: str
    _grid: StackLayout = field(repr=False)

    def read(self) -> sitk.Image:
        """Read the volume in HU: int16, or float32 where HU are no integers.

        Raises:
            InputError: a slice cannot be decoded.
        """
        return make_volume(self.slices, self._grid)


def find_series(source: Source, series_uid: str | None = None) -> DicomSeries:
    """Find one CT series and check all that headers tell; pixels are looked at only to compare double slices.

    Args:
        source: a folder with the files of one or more series, whose sub-folders are searched where no CT lies directly
            in it; a DICOMDIR; a multi-frame file; or the files themselves.
        series_uid: SeriesInstanceUID, needed where there are several CT series.

    Raises:
        InputError: there is no CT series, there are several, or it cannot be read; slices are of several patients,
            studies or passes; slices are missing, of different kinds, or different ones in one place; or the values
            are not HU.
    """
    where, headers = _headers(source)
    members, doubts = choose(by_series(headers), series_uid, where)
    unnamed = check_one_patient(members)
    slices = [one for header in members for one in slices_of(header)]
    check_alike(slices)
    check_compression(slices)
    slices = in_order(slices)
    check_one_pass(slices)
    slices, doubled = without_duplicates(slices)
    if len(slices) == 1:
        raise InputError(_only_one(slices[0], where))
    grid = lay_out(slices)
    return DicomSeries(
        uid=members[0].text("SeriesInstanceUID"),
        slices=tuple(slices),
        regular=grid.regular,
        warnings=(*doubts, *unnamed, *doubled, *grid.warnings),
        phase_hint=summarise("", members).phase_hint,
        _grid=grid,
    )


def list_series(source: Source) -> list[SeriesSummary]:
    """List all image series of a folder or DICOMDIR, those that cannot be translated too.

    Raises:
        InputError: a file cannot be read, or there is no DICOM image.
    """
    where, headers = _headers(source)
    summaries = [summarise(uid, members) for uid, members in by_series(headers).items()]
    if not summaries:
        raise InputError(f"{where} holds no DICOM image. Give the folder with the files of one CT series.")
    return sorted(summaries, key=lambda one: (one.number is None, one.number or 0, one.uid))


def _headers(source: Source) -> tuple[str, list[Header]]:
    """What to call the source in a message, and the headers of its DICOM files."""
    if not isinstance(source, Path | str):
        files = [Path(file) for file in source]
        if not files:
            raise InputError("No DICOM files were given. Give the files of one CT series.")
        return str(files[0].parent), list(map(read_header, files))
    path = Path(source)
    if not path.is_dir():
        return str(path), list(map(read_header, listed_files(path) if is_directory_file(path) else [path]))
    headers = list(map(read_header, direct_files(path)))
    if not any(map(is_ct, headers)):
        headers += map(read_header, deeper_files(path))
    return str(path), headers


def _only_one(one: DicomSlice, where: str) -> str:
    if str(one.path) == where:
        return f"{where} is a single DICOM file. Give its folder ({one.path.parent})."
    return f"{where} holds one slice of the series ({one.name}). Give the whole series."
