"""DICOM as output, of ``s2ldm to-dicom`` and of ``s2ldm translate --format dicom``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import SimpleITK as sitk

    from ..dicom.reading.series import DicomSeries
    from ..dicom.writing.options import ExportOptions
    from ..progress import OnProgress

_WHOSE = ("patient_name", "patient_id", "study_description")
_OPTIONS = ("burn_in", "anonymize", "anonymize_key", *_WHOSE)


def add_export(parser: argparse.ArgumentParser) -> None:
    """Options of a series that is written."""
    group = parser.add_argument_group("DICOM output")
    group.add_argument("--burn-in", action="store_true", help="write SYNTHETIC into a corner of each slice's pixels")
    group.add_argument(
        "--anonymize", action="store_true", help="remove what identifies the patient (PS3.15 Basic Profile)"
    )
    group.add_argument(
        "--anonymize-key", type=Path, metavar="FILE", help="of the pseudonyms, made where missing (default: your own)"
    )
    group.add_argument("--patient-name", metavar="NAME", help="where the source is not DICOM, or of the pseudonym")
    group.add_argument("--patient-id", metavar="ID", help="likewise")
    group.add_argument("--study-description", metavar="TEXT", help="likewise")
    group.add_argument("--patient", type=Path, metavar="FILE", help=(
        "a JSON file with any of patient_name, patient_id and study_description, so that no name is in the command line"
    ))  # fmt: skip


def export_options(args: argparse.Namespace) -> ExportOptions:
    """Take them from the command line, and from the file that ``--patient`` names.

    Raises:
        InputError: the file cannot be read, or says something else.
    """
    from ..dicom.writing.options import ExportOptions

    given = {name: getattr(args, name) for name in _OPTIONS}
    if args.patient:
        given |= _patient_of(args.patient)
    return ExportOptions(args.overwrite, **given)


def _patient_of(file: Path) -> dict[str, str]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as JSON ({error}). Give an object with {', '.join(_WHOSE)}."
        ) from error
    if not isinstance(content, dict) or not all(
        key in _WHOSE and isinstance(value, str) for key, value in content.items()
    ):
        raise InputError(f"{file} holds something else. Give an object with texts for {', '.join(_WHOSE)}.")
    return content


def given_export_option(args: argparse.Namespace) -> str:
    """The first option of DICOM output that is given, empty for none."""
    return next((f"--{name.replace('_', '-')}" for name in (*_OPTIONS, "patient") if getattr(args, name)), "")


@dataclass(frozen=True)
class DicomOutput:
    """What ``translate --format dicom`` needs to know from its first check to its last file.

    source: the series to translate; None where the input is no DICOM.
    """

    args: argparse.Namespace
    options: ExportOptions
    source: DicomSeries | None

    def read(self) -> sitk.Image:
        """The volume to translate."""
        from ..reading import read_volume

        return self.source.read() if self.source else read_volume(self.args.input, self.args.series)

    def write(
        self, image: sitk.Image, provenance: Mapping[str, str], on_progress: OnProgress | None,
        should_cancel: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Write the result as a series."""
        from ..dicom.writing.writer import write_series

        write_series(image, self.args.output, self.source, provenance, self.options, on_progress, should_cancel)


def open_dicom_output(args: argparse.Namespace) -> DicomOutput:
    """Raises InputError where the output could not be written, before any work."""
    from ..dicom.writing.output_folder import check_output_folder
    from ..dicom.writing.writer import check_options
    from ..reading import is_dicom_source

    check_output_folder(args.output, args.overwrite)
    if args.sidecar:
        raise InputError("--sidecar is for a volume file; a DICOM header holds all of it. Leave it out.")
    is_dicom = is_dicom_source(Path(args.input))
    output = DicomOutput(args, export_options(args), find_source(Path(args.input), args.series) if is_dicom else None)
    check_options(output.source, output.options)
    return output


def find_source(files: Path | Sequence[Path] | None, series_uid: str | None) -> DicomSeries | None:
    """The source series of a result, None for no files; what there is to say of it is told as warnings."""
    from ..dicom.reading.series import find_series
    from ..reading import warn_of

    if files is None:
        return None
    if isinstance(files, Path) and not files.exists():
        raise InputError(f"{files} does not exist. Check the path.")
    source = find_series(files, series_uid)
    warn_of(source)
    return source
