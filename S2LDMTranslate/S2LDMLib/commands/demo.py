"""``s2ldm demo``: a sample, or a volume of one's own, in all phases of a model, with a picture of both."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from .console import shown_progress
from .engine import add_engine, load_pipeline, provenance_of

HELP = "translate a sample into both phases"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--input", metavar="NCCT", help="a volume or DICOM folder instead of the phantom")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    add_engine(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Translate, and show the result beside its source."""
    from ..reading import read_volume
    from ..volume.files import write_volume
    from ..volume.preview import compare_picture, write_picture

    args.out.mkdir(parents=True, exist_ok=True)
    if args.input:
        image = read_volume(args.input)
    else:
        from ..phantom.scan import make_phantom

        print("Making the sample: a procedural abdominal phantom, non-contrast", flush=True)
        image = make_phantom(seed=0).ncct
        write_volume(image, args.out / "ncct.nrrd", overwrite=True)
    pipeline, made = load_pipeline(args), {}
    for phase in pipeline.config.phases:
        start = time.monotonic()
        with shown_progress(args.progress) as show:
            made[phase] = pipeline(image, phase, on_progress=show, should_cancel=should_cancel)
        write_volume(made[phase], args.out / f"{phase}.nrrd", overwrite=True, metadata=provenance_of(made[phase]))
        print(f"{args.out / f'{phase}.nrrd'}  ({time.monotonic() - start:.1f} s)", flush=True)
    write_picture(compare_picture(image, made), args.out / "compare.png")
    print(args.out / "compare.png")
    return 0
