"""``s2ldm check``: can a volume be translated by a model, and what speaks against it?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

HELP = "say whether a volume can be translated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("input", metavar="INPUT", help="NIfTI, NRRD or MHA file, or a DICOM folder")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    parser.add_argument("--model", default="bundled", metavar="bundled|FOLDER|hf://REPO_ID[@REVISION]")
    parser.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Read, measure, tell."""
    from ..guard.input_checks import check_input
    from ..model.config import AutoencoderConfig, DenoiserConfig, smallest_input
    from ..model.config_files import load_config
    from ..model.hub import resolve_model
    from ..reading import read_ncct

    folder = resolve_model(args.model, local_files_only=args.offline).folder
    parts = (
        load_config(AutoencoderConfig, folder / "autoencoder" / "config.json"),
        load_config(DenoiserConfig, folder / "denoiser" / "config.json"),
    )
    report = check_input(read_ncct(args.input, args.series), smallest_input(*parts))
    print(json.dumps(report.as_json()) if args.json else report.text(), flush=True)
    return 0
