"""The command line: ``s2ldm translate``, ``s2ldm info``, ``s2ldm demo``.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 130 cancelled. An error is one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .config import PHASES
from .errors import Cancelled, S2LDMError, S2LDMWarning

if TYPE_CHECKING:
    import SimpleITK as sitk

    from .pipeline import S2LDMPipeline
    from .progress import Progress


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    stop = _StopOnSignal()
    warnings.showwarning = _show_warning
    try:
        return args.command(args, stop)
    except (Exception, KeyboardInterrupt) as error:
        if args.debug:
            traceback.print_exc()
        message, code = _explain(error)
        print(f"s2ldm: {' '.join(message.split())}", file=sys.stderr)
        return code


def _explain(error: BaseException) -> tuple[str, int]:
    """Message and exit code."""
    if isinstance(error, S2LDMError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Cancelled; nothing was written.", Cancelled.exit_code
    return f"{type(error).__name__}: {error} (run again with --debug to see where)", 1


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Ours in one line; those of libraries are not for users."""
    if issubclass(category, S2LDMWarning):
        print(f"s2ldm: warning: {message}", file=sys.stderr)


class _StopOnSignal:
    """The first Ctrl-C or SIGTERM asks the translation to stop between two tiles; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._ask)
        except ValueError:  # not in the main thread: the caller handles signals
            pass

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="print the traceback of an error")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument("--model", default="bundled", metavar="bundled|FOLDER|REPO_ID[@REVISION]")
    engine.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    engine.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    engine.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    engine.add_argument("--progress", default="bar", choices=["bar", "json", "none"])

    parser = argparse.ArgumentParser(prog="s2ldm", description="Synthetic contrast-enhanced CT from non-contrast CT.")
    parser.add_argument("--version", action="version", version=f"s2ldm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_translate(commands.add_parser("translate", parents=[common, engine], help="translate one volume"))

    info = commands.add_parser("info", parents=[common], help="describe a model")
    info.add_argument("model", metavar="MODEL", help="bundled, a folder, or REPO_ID[@REVISION]")
    info.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    info.set_defaults(command=_info)

    demo = commands.add_parser("demo", parents=[common, engine], help="translate a sample into both phases")
    demo.add_argument("--input", metavar="NCCT", help="a volume or DICOM folder instead of the phantom")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    demo.set_defaults(command=_demo)
    return parser


def _add_translate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="NIfTI, NRRD or MHA file, or a DICOM folder")
    parser.add_argument("output", metavar="OUTPUT", help="a .nii.gz, .nrrd or .mha file")
    parser.add_argument("--phase", required=True, help="a phase of the model: " + " or ".join(PHASES))
    parser.add_argument("--steps", type=int, default=None, help="sampling steps (default: the model's own)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--detail", default="native", choices=["native", "model"],
        help="native: the enhancement is added to the NCCT (default); model: the decoded image itself",
    )  # fmt: skip
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    parser.add_argument("--preview", type=Path, metavar="PNG", help="also write NCCT | synthetic | difference")
    parser.add_argument("--overwrite", action="store_true", help="replace existing output files")
    parser.set_defaults(command=_translate)


def _translate(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    from .volume_io import check_output_path, read_volume, write_volume

    check_output_path(args.output, args.overwrite)
    if args.preview:
        check_output_path(args.preview, args.overwrite, (".png",))
    image = read_volume(args.input, args.series)
    pipeline = _load(args)
    with _progress(args.progress) as show:
        synthetic = pipeline(
            image, args.phase, steps=args.steps, seed=args.seed, detail=args.detail,
            on_progress=show, should_cancel=should_cancel,
        )  # fmt: skip
    write_volume(synthetic, args.output, args.overwrite, _metadata(synthetic))
    if args.preview:
        from .preview import compare_picture, write_picture

        write_picture(compare_picture(image, {args.phase: synthetic}), args.preview)
    return 0


def _info(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    import dataclasses

    from .pipeline import S2LDMPipeline

    pipeline = S2LDMPipeline.from_pretrained(args.model, local_files_only=args.offline, device="cpu")
    parts = {"autoencoder": pipeline.autoencoder, "denoiser": pipeline.denoiser, "scheduler": pipeline.scheduler}
    shown: dict[str, Any] = {
        "model": pipeline.source.model_id,
        "revision": pipeline.source.revision,
        "folder": str(pipeline.source.folder),
        **dataclasses.asdict(pipeline.config),
    }
    for name, part in parts.items():
        shown[name] = dataclasses.asdict(part.config)
        if hasattr(part, "parameters"):
            shown[name]["parameters"] = sum(p.numel() for p in part.parameters())
    print(json.dumps(shown, indent=2))
    return 0


def _demo(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    from .preview import compare_picture, write_picture
    from .volume_io import read_volume, write_volume

    args.out.mkdir(parents=True, exist_ok=True)
    if args.input:
        image = read_volume(args.input)
    else:
        from .phantom import make_phantom

        print("Making the sample: a procedural abdominal phantom, non-contrast", flush=True)
        image = make_phantom(seed=0).ncct
        write_volume(image, args.out / "ncct.nrrd", overwrite=True)
    pipeline, made = _load(args), {}
    for phase in pipeline.config.phases:
        start = time.monotonic()
        with _progress(args.progress) as show:
            made[phase] = pipeline(image, phase, on_progress=show, should_cancel=should_cancel)
        write_volume(made[phase], args.out / f"{phase}.nrrd", overwrite=True, metadata=_metadata(made[phase]))
        print(f"{args.out / f'{phase}.nrrd'}  ({time.monotonic() - start:.1f} s)", flush=True)
    write_picture(compare_picture(image, made), args.out / "compare.png")
    print(args.out / "compare.png")
    return 0


def _load(args: argparse.Namespace) -> S2LDMPipeline:
    """Load the model, and say what it is and what is fetched before the first byte of it is."""
    from .pipeline import S2LDMPipeline

    def on_download(fraction: float, name: str) -> None:
        if args.progress == "json":
            print(json.dumps({"stage": "download", "fraction": round(fraction, 4), "file": name}), flush=True)
        elif args.progress == "bar":
            print(f"\rdownload  {fraction:4.0%}  {name:<40}", end="" if fraction < 1 else "\n", file=sys.stderr)

    return S2LDMPipeline.from_pretrained(
        args.model, local_files_only=args.offline, device=args.device, dtype=args.dtype, on_progress=on_download
    )


def _metadata(image: sitk.Image) -> dict[str, str]:
    return {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith(("S2LDM", "description"))}


@contextmanager
def _progress(kind: str) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on standard error, or one JSON object a line on standard output."""
    unfinished = False

    def as_json(progress: Progress) -> None:
        line = {"stage": progress.stage, "fraction": round(progress.fraction, 4), "remaining_s": progress.remaining}
        print(json.dumps(line), flush=True)

    def as_bar(progress: Progress) -> None:
        nonlocal unfinished
        if progress.fraction == 0:  # the input may still be refused, in one line
            return
        unfinished = progress.fraction < 1
        filled = round(30 * progress.fraction)
        remaining = "" if progress.remaining is None else f"{progress.remaining:.0f} s left"
        line = f"\r[{'#' * filled}{'.' * (30 - filled)}] {progress.fraction:4.0%}  {progress.stage:<12}{remaining:<14}"
        print(line, end="" if unfinished else "\n", file=sys.stderr, flush=True)

    try:
        yield {"json": as_json, "bar": as_bar, "none": None}[kind]
    finally:
        if unfinished:
            print(file=sys.stderr)
