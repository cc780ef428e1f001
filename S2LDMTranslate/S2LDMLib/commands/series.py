"""``s2ldm series``: what image series a DICOM folder holds, to choose one from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..dicom.reading.choice import SeriesSummary

HELP = "list the series of a DICOM folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", metavar="FOLDER", help="a folder of DICOM files, or a DICOMDIR")
    parser.add_argument("--json", action="store_true", help="print the series as JSON")


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Print them, a paragraph each or as JSON."""
    from ..dicom.reading.series import list_series

    found = list_series(args.input)
    if args.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        print("\n\n".join(map(_paragraph, found)))
    return 0


def _paragraph(one: SeriesSummary) -> str:
    """The UID on a line of its own, ready to be copied."""
    about = [
        f"series {one.number}" if one.number is not None else "",
        one.description or "no description",
        one.modality,
        f"{one.slices} slices",
        f"phase: {one.phase_hint} (by its descriptions)" if one.phase_hint else "",
        "synthetic" if one.synthetic else "",
        f"not usable: {one.problem}" if one.problem else "",
    ]
    return f"{one.uid or '(no UID)'}\n  {', '.join(filter(None, about))}"
