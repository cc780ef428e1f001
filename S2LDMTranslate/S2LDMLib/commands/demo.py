"""``s2ldm demo``: a sample, or a volume of one's own, in all phases of a model, with a picture of both."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from .console import shown_progress
from .engine import add_engine, load_pipeline, provenance_of
from .outputs import check_distinct

HELP = "translate a sample into both phases"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--input", metavar="NCCT", help="a volume or DICOM folder instead of the phantom")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    add_engine(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Translate, and show the result beside its source."""
    from ..atomic import together
    from ..reading import read_ncct
    from ..volume.detached import files_of
    from ..volume.files import write_volume
    from ..volume.preview import compare_picture, write_picture

    pipeline, made, seconds = load_pipeline(args), {}, {}
    source, picture = args.out / "ncct.nrrd", args.out / "compare.png"
    results = {phase: args.out / f"{phase}.nrrd" for phase in pipeline.config.phases}
    if args.input:
        outputs = {"--out": source, **{f"--out {phase}": path for phase, path in results.items()}}
        check_distinct(files_of(Path(args.input)), outputs)
        image = read_ncct(args.input)
    else:
        from ..phantom.scan import make_phantom

        print("Making the sample: a procedural abdominal phantom, non-contrast", flush=True)
        image = make_phantom(seed=0).ncct
    args.out.mkdir(parents=True, exist_ok=True)
    with together():
        write_volume(image, source, overwrite=True)
        for phase, path in results.items():
            start = time.monotonic()
            with shown_progress(args.progress) as show:
                made[phase] = pipeline(image, phase, on_progress=show, should_cancel=should_cancel)
            write_volume(made[phase], path, overwrite=True, metadata=provenance_of(made[phase]))
            seconds[phase] = time.monotonic() - start
        write_picture(compare_picture(image, made), picture)
    for phase, path in results.items():
        print(f"{path}  ({seconds[phase]:.1f} s)")
    print(picture)
    return 0
