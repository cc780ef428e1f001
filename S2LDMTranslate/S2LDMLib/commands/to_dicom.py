"""The command ``s2ldm to-dicom``, and what ``s2ldm translate --format dicom`` does besides."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, S2LDMWarning

if TYPE_CHECKING:
    import SimpleITK as sitk

    from ..dicom.reading.series import DicomSeries
    from ..dicom.writing.options import ExportOptions
    from ..progress import OnProgress

_VOLUME, _DICOM = "volume", "dicom"
_OF_EXPORT = ("burn_in", "anonymize", "patient_name", "patient_id", "study_description")


def add_to_dicom(parser: argparse.ArgumentParser) -> None:
    """Options of ``s2ldm to-dicom``."""
    parser.add_argument("volume", metavar="VOLUME", type=Path, help="a result of 's2ldm translate'")
    parser.add_argument("output", metavar="OUTPUT_FOLDER", help="for one file a slice")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--source", type=Path, metavar="DICOM_FOLDER", help="of the series that VOLUME was made from")
    source.add_argument("--source-list", type=Path, metavar="FILE", help="a text file that names its files, one a line")
    parser.add_argument("--series", metavar="UID", help="which series of DICOM_FOLDER")
    parser.add_argument("--overwrite", action="store_true", help="replace a series that this program wrote there")
    parser.add_argument("--progress", default="bar", choices=["bar", "json", "none"])
    _add_export(parser)
    parser.set_defaults(command=to_dicom)


def add_translate_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``s2ldm translate`` for DICOM as output."""
    parser.add_argument(
        "--format", choices=[_VOLUME, _DICOM], default=_VOLUME, help="dicom: OUTPUT is a folder for a DICOM series"
    )
    _add_export(parser)


def _add_export(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("DICOM output")
    group.add_argument("--burn-in", action="store_true", help="write SYNTHETIC into a corner of each slice's pixels")
    group.add_argument(
        "--anonymize", action="store_true", help="remove what identifies the patient (PS3.15 Basic Profile)"
    )
    group.add_argument("--patient-name", metavar="NAME", help="where the source is not DICOM, or of the pseudonym")
    group.add_argument("--patient-id", metavar="ID", help="likewise")
    group.add_argument("--study-description", metavar="TEXT", help="likewise")


def to_dicom(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Write a volume that was translated earlier as a series of its source's study."""
    from ..dicom.writing.output_folder import check_output_folder
    from ..dicom.writing.provenance import read_provenance
    from ..dicom.writing.resemblance import check_resemblance
    from ..dicom.writing.writer import check_options, write_series
    from ..volume.files import read_volume
    from .console import shown_progress

    check_output_folder(args.output, args.overwrite)
    if args.volume.is_dir():
        raise InputError(f"{args.volume} is a folder. Give the volume file of a result of 's2ldm translate'.")
    files = args.source or (_listed(args.source_list) if args.source_list else None)
    if args.series and not files:
        raise InputError("--series needs --source, the folder that holds the series. Add it.")
    source, options = _source(files, args.series), export_options(args)
    check_options(source, options)
    image = read_volume(args.volume)
    provenance = read_provenance(args.volume, image)
    if source:
        check_resemblance(image, source.read())
    with shown_progress(args.progress) as show:
        folder = write_series(image, args.output, source, provenance, options, show, should_cancel)
    print(folder, flush=True)
    return 0


class DicomOutput:
    """What ``translate --format dicom`` needs to know from its first check to its last file."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Raises InputError where the output could not be written, before any work."""
        from ..dicom.writing.output_folder import check_output_folder
        from ..dicom.writing.writer import check_options
        from ..volume.files import is_dicom_source

        check_output_folder(args.output, args.overwrite)
        if args.sidecar:
            raise InputError("--sidecar is for a volume file; a DICOM header holds all of it. Leave it out.")
        self._folder, self._options = args.output, export_options(args)
        self._source = _source(Path(args.input), args.series) if is_dicom_source(Path(args.input)) else None
        check_options(self._source, self._options)
        self._args = args

    def read(self) -> sitk.Image:
        """The volume to translate."""
        from ..volume.files import read_volume

        return self._source.read() if self._source else read_volume(self._args.input, self._args.series)

    def write(
        self, image: sitk.Image, provenance: Mapping[str, str], on_progress: OnProgress | None,
        should_cancel: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Write the result as a series."""
        from ..dicom.writing.writer import write_series

        write_series(image, self._folder, self._source, provenance, self._options, on_progress, should_cancel)


def dicom_output(args: argparse.Namespace) -> DicomOutput | None:
    """The output of ``translate``, None where it is a volume file; raises InputError where the options do not fit."""
    if args.format == _DICOM:
        return DicomOutput(args)
    from ..volume.files import OUTPUT_SUFFIXES

    if not args.output.lower().endswith(OUTPUT_SUFFIXES):
        raise InputError(
            f"{args.output} does not end with {' or '.join(OUTPUT_SUFFIXES)}. Give such a file, or add --format dicom "
            "to write a DICOM series into that folder."
        )
    if given := [name for name in _OF_EXPORT if getattr(args, name)]:
        raise InputError(f"--{given[0].replace('_', '-')} needs --format dicom. Add it, or leave the option out.")
    return None


def export_options(args: argparse.Namespace) -> ExportOptions:
    """From the command line's options."""
    from ..dicom.writing.options import ExportOptions

    return ExportOptions(args.overwrite, **{name: getattr(args, name) for name in _OF_EXPORT})


def _listed(file: Path) -> list[Path]:
    """The files that a text file names; raises InputError where it cannot be read."""
    try:
        return [Path(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as a list of files ({error}). Write one path a line, in UTF-8."
        ) from error


def _source(files: Path | Sequence[Path] | None, series_uid: str | None) -> DicomSeries | None:
    from ..dicom.reading.series import find_series

    if files is None:
        return None
    if isinstance(files, Path) and not files.exists():
        raise InputError(f"{files} does not exist. Check the path.")
    source = find_series(files, series_uid)
    for warning in source.warnings:
        warnings.warn(warning, S2LDMWarning, stacklevel=2)
    return source
