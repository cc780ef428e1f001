"""``s2ldm check``: can a volume be translated, and what speaks against it?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

HELP = "say whether a volume can be translated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", metavar="INPUT", help="NIfTI, NRRD or MHA file, or a DICOM folder")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Read, measure, tell."""
    from ..guard.input_checks import check_input
    from ..reading import read_volume

    report = check_input(read_volume(args.input, args.series), (1, 1, 1))
    print(json.dumps(report.as_json()) if args.json else report.text(), flush=True)
    return 0
