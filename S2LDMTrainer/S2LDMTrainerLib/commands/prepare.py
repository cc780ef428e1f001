"""``s2ldm-train prepare [DATA] OUT``: from scans to registered, memory-mapped training cases."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from S2LDMLib.commands.console import add_progress, shown_progress
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PHASES

if TYPE_CHECKING:
    from ..preparing.prepare import Report
    from ..preparing.sources import Found, Skipped, Source

HELP = "register pairs and store them for training"
MANY_JOBS = 4  # registering large scans takes up to 2 GB a job


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.usage = "%(prog)s [DATA] OUT [options]"
    parser.add_argument("data", metavar="DATA", type=Path, nargs="?", help=(
        "folder with <case>/ncct, <case>/arterial, <case>/venous and maybe <case>/labels, each a volume file or a "
        "DICOM folder; label names in DATA/labels.csv (value,name) or labels.json"
    ))  # fmt: skip
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write, one folder a case")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help=(
        "the pairs, instead of DATA: .csv or .json with case, patient, ncct, arterial, venous, labels"
    ))  # fmt: skip
    parser.add_argument("--phase", action="append", choices=PHASES, help="a phase to prepare (default: all found)")
    parser.add_argument("--spacing", type=float, nargs=3, metavar=("X", "Y", "Z"), help=(
        "mm of prepared volumes (default: the NCCT's own)"
    ))  # fmt: skip
    parser.add_argument("--patient", metavar="REGEX", help=(
        "its first group, in the case's name, is the patient (default: the DICOM PatientID's hash, or the name)"
    ))  # fmt: skip
    parser.add_argument("--split", default="4:1", metavar="4:1|none", help="training:validation, by patient")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--jobs", type=int, default=min(MANY_JOBS, os.cpu_count() or 1), help="cases side by side")
    parser.add_argument("--cect-only", type=Path, metavar="DIR", help=(
        "<session>/<phase> without an NCCT, for the autoencoder"
    ))  # fmt: skip
    parser.add_argument("--labelled", type=Path, metavar="DIR", help=(
        "<name>_ct with <name>_labels (TotalSegmentator v2 classes), native or late arterial, to recolour into triples"
    ))  # fmt: skip
    parser.add_argument("--recolour", type=int, default=1, metavar="N", help="triples of each labelled scan")
    parser.add_argument("--phantoms", type=int, default=0, metavar="N", help="procedural patients to add")
    parser.add_argument("--phantom-seed", type=int, default=100, metavar="FIRST", help="seed of the first phantom")
    parser.add_argument("--phantom-size", type=int, nargs=3, metavar=("X", "Y", "Z"), default=(256, 256, 40))
    add_progress(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Prepare; returns 1 if a case failed for another reason than its input."""
    from ..preparing.builders import BuildOptions
    from ..preparing.prepare import PrepareOptions, prepare
    from ..preparing.split import parse_ratio

    _check_options(args)
    split = parse_ratio(args.split)
    _check_out(args)
    sources, skipped = _find(args)
    build = BuildOptions(tuple(args.spacing) if args.spacing else None, tuple(args.phantom_size))
    options = PrepareOptions(build, split, args.seed, args.jobs)
    with shown_progress(args.progress) as show:
        on_progress = show or (lambda progress: None)
        failed = prepare(sources, skipped, args.out, options, _teller(args.progress), on_progress, should_cancel)
    return 1 if failed else 0


def _check_options(args: argparse.Namespace) -> None:
    if not (args.data or args.manifest or args.cect_only or args.labelled or args.phantoms):
        raise InputError("There is nothing to prepare. Give DATA and OUT, --manifest, --cect-only or --phantoms.")
    if args.data and args.manifest:
        raise InputError("DATA and --manifest both name the pairs. Give one of them; the manifest may lie anywhere.")
    if args.spacing and not all(0.1 <= step <= 20 for step in args.spacing):
        raise InputError(f"--spacing {_joined(args.spacing)} cannot be right. Give 0.1 to 20 mm for x, y and z.")
    if min(args.phantom_size) < 8:
        raise InputError(f"--phantom-size {_joined(args.phantom_size)} is too small. Give at least 8 voxels an axis.")
    for name, least in (("jobs", 1), ("recolour", 1), ("phantoms", 0), ("phantom_seed", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name.replace('_', '-')} must be {least} or more. Correct it.")


def _check_out(args: argparse.Namespace) -> None:
    """Refuse an OUT that is not apart from what is read: the source is never touched."""
    out = args.out.resolve()
    if out.exists() and not out.is_dir():
        raise InputError(f"{args.out} is a file. Give a folder to write.")
    for path in (args.data, args.cect_only, args.labelled):
        if path is None:
            continue
        source = path.resolve()
        if out == source or source in out.parents or out in source.parents:
            raise InputError(f"{args.out} and the source {path} lie in each other. Give another folder to write.")


def _find(args: argparse.Namespace) -> Found:
    from ..preparing.sources import compile_patient, find_cect_only, find_labelled, find_pairs, phantoms, read_manifest

    patient = compile_patient(args.patient)
    phases = tuple(phase for phase in PHASES if phase in (args.phase or PHASES))
    sources: list[Source] = []
    skipped: list[Skipped] = []
    if args.data:
        sources, skipped = find_pairs(args.data, phases, patient)
    elif args.manifest:
        sources, skipped = read_manifest(args.manifest, phases, patient)
    if args.labelled:
        sources += find_labelled(args.labelled, args.recolour)
    if args.cect_only:
        sources += find_cect_only(args.cect_only, patient)
    return sources + phantoms(args.phantoms, args.phantom_seed), skipped


def _joined(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _teller(kind: str) -> Callable[[Report], None]:
    """What tells of a case on standard output: a line, above the bar, or a JSON object."""

    def tell(report: Report) -> None:
        from tqdm import tqdm  # not needed for the help

        if kind == "json":
            print(json.dumps({"case": report.case, "status": report.status, "message": report.message}), flush=True)
        else:
            tqdm.write(f"{report.case}: {report.status}, {report.message}")
            sys.stdout.flush()

    return tell
