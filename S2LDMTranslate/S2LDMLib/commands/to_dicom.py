"""``s2ldm to-dicom``: a volume that was translated earlier, as a series of its source's study."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError, S2LDMWarning
from .console import add_progress, shown_progress
from .dicom_export import add_export, export_options, find_source

HELP = "write a translated volume as a DICOM series"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("volume", metavar="VOLUME", type=Path, help="a result of 's2ldm translate'")
    parser.add_argument("output", metavar="OUTPUT_FOLDER", help="for one file a slice")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--source", type=Path, metavar="DICOM_FOLDER", help="of the series that VOLUME was made from")
    source.add_argument("--source-list", type=Path, metavar="FILE", help="a text file that names its files, one a line")
    parser.add_argument("--series", metavar="UID", help="which series of DICOM_FOLDER")
    parser.add_argument("--overwrite", action="store_true", help="replace a series that this program wrote there")
    add_progress(parser)
    add_export(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Check that volume and source belong together, then write."""
    from ..dicom.writing.output_folder import check_output_folder
    from ..dicom.writing.provenance import read_provenance
    from ..dicom.writing.resemblance import check_resemblance
    from ..dicom.writing.writer import check_options, write_series
    from ..reading import read_volume

    check_output_folder(args.output, args.overwrite)
    if args.volume.is_dir():
        raise InputError(f"{args.volume} is a folder. Give the volume file of a result of 's2ldm translate'.")
    files = args.source or (_listed(args.source_list) if args.source_list else None)
    if args.series and not files:
        raise InputError("--series needs --source, the folder that holds the series. Add it.")
    source, options = find_source(files, args.series), export_options(args)
    check_options(source, options)
    image = read_volume(args.volume)
    provenance = read_provenance(args.volume, image)
    if source and (doubt := check_resemblance(image, source.read())):
        warnings.warn(doubt, S2LDMWarning, stacklevel=2)
        if args.progress == "json":  # who reads that may ask before the series is used
            print(json.dumps({"doubt": doubt}), flush=True)
    with shown_progress(args.progress) as show:
        folder = write_series(image, args.output, source, provenance, options, show, should_cancel)
    print(folder, flush=True)
    return 0


def _listed(file: Path) -> list[Path]:
    """The files that a text file names; raises InputError where it cannot be read."""
    try:
        return [Path(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as a list of files ({error}). Write one path a line, in UTF-8."
        ) from error
