"""The command line: ``s2ldm translate``, ``check``, ``demo``, those about models (:mod:`S2LDMLib.commands.models`) and
about DICOM (:mod:`S2LDMLib.commands.to_dicom`).

Exit codes and errors: see :mod:`S2LDMLib.commands.console`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import InputError
from ..model.config import PHASES
from .console import common_options, run_command, shown_progress
from .models import add_download, add_info, show_download
from .series import add_series
from .to_dicom import add_to_dicom, add_translate_options, dicom_output

if TYPE_CHECKING:
    import SimpleITK as sitk

    from ..pipeline import S2LDMPipeline
    from ..volume.region import Region


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run_command(build_parser(), argv)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    common = common_options()
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
    add_to_dicom(commands.add_parser("to-dicom", parents=[common], help="write a translated volume as a DICOM series"))
    _add_check(commands.add_parser("check", parents=[common], help="say whether a volume can be translated"))
    add_series(commands.add_parser("series", parents=[common], help="list the series of a DICOM folder"))
    add_info(commands.add_parser("info", parents=[common], help="describe a model"))
    add_download(commands.add_parser("download", parents=[common], help="fetch a model from the Hub for later use"))

    demo = commands.add_parser("demo", parents=[common, engine], help="translate a sample into both phases")
    demo.add_argument("--input", metavar="NCCT", help="a volume or DICOM folder instead of the phantom")
    demo.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: demo)")
    demo.set_defaults(command=_demo)
    return parser


def _add_translate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="NIfTI, NRRD or MHA file, or a DICOM folder")
    parser.add_argument("output", metavar="OUTPUT", help="a .nii.gz, .nrrd or .mha file, or a folder (--format dicom)")
    parser.add_argument("--phase", required=True, help="a phase of the model: " + " or ".join(PHASES))
    parser.add_argument("--steps", type=int, default=None, help="sampling steps (default: the model's own)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--detail", choices=["native", "model"],
        help="native: the enhancement is added to the NCCT (default where the model can); model: the decoded image",
    )  # fmt: skip
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    parser.add_argument(
        "--region", type=float, nargs=6, metavar=("X0", "X1", "Y0", "Y1", "Z0", "Z1"),
        help="translate only this box, in mm in LPS; the rest stays as it is",
    )  # fmt: skip
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="mean of N samples (needs 2 or more steps)")
    parser.add_argument("--sd", type=Path, metavar="FILE", help="also write the samples' standard deviation, in HU")
    parser.add_argument("--sidecar", action="store_true", help="also write how it was made, as OUTPUT's .json")
    parser.add_argument("--preview", type=Path, metavar="PNG", help="also write NCCT | synthetic | difference")
    parser.add_argument("--overwrite", action="store_true", help="replace existing output files")
    add_translate_options(parser)
    parser.set_defaults(command=_translate)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="NIfTI, NRRD or MHA file, or a DICOM folder")
    parser.add_argument("--series", metavar="UID", help="which series of a DICOM folder")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(command=_check)


def _translate(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    from ..volume.files import check_output_path, read_volume, write_volume
    from ..volume.region import Region
    from ..volume.sidecar import sidecar_path, write_sidecar

    dicom = dicom_output(args)
    if not dicom:
        check_output_path(args.output, args.overwrite)
    if args.preview:
        check_output_path(args.preview, args.overwrite, (".png",))
    if args.sd:
        check_output_path(args.sd, args.overwrite)
    if args.sidecar:
        for path in filter(None, (args.output, args.sd)):
            check_output_path(sidecar_path(Path(path)), args.overwrite, (".json",))
    if args.sd and args.samples == 1:
        raise InputError("--sd needs several samples. Add --samples N.")
    region = Region.of_bounds(args.region) if args.region else None
    image = dicom.read() if dicom else read_volume(args.input, args.series)
    made = _run(args, image, region, should_cancel)
    if dicom:
        with shown_progress(args.progress) as show:
            dicom.write(made[0], _metadata(made[0]), show, should_cancel)
    for result, path in zip(made, (None if dicom else args.output, args.sd), strict=False):
        if path:
            write_volume(result, path, args.overwrite, _metadata(result))
        if path and args.sidecar:
            write_sidecar(path, _metadata(result), args.overwrite)
    if args.preview:
        from ..volume.preview import compare_picture, write_picture

        write_picture(compare_picture(image, {args.phase: made[0]}), args.preview)
    return 0


def _run(
    args: argparse.Namespace, image: sitk.Image, region: Region | None, should_cancel: Callable[[], bool]
) -> tuple[sitk.Image, ...]:
    """The result, and for several samples their standard deviation."""
    from ..inference.uncertainty import check_samples, translate_samples

    pipeline = _load(args)
    options = {"steps": args.steps, "seed": args.seed, "detail": args.detail, "region": region}
    if args.samples != 1:
        check_samples(pipeline, args.samples, args.steps)
    with shown_progress(args.progress) as show:
        options |= {"on_progress": show, "should_cancel": should_cancel}
        if args.samples == 1:
            return (pipeline(image, args.phase, **options),)
        return translate_samples(pipeline, image, args.phase, args.samples, **options)


def _check(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    from ..guard.input_checks import check_input
    from ..volume.files import read_volume

    report = check_input(read_volume(args.input, args.series), (1, 1, 1))
    print(json.dumps(report.as_json()) if args.json else report.text(), flush=True)
    return 0


def _demo(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    from ..volume.files import read_volume, write_volume
    from ..volume.preview import compare_picture, write_picture

    args.out.mkdir(parents=True, exist_ok=True)
    if args.input:
        image = read_volume(args.input)
    else:
        from ..phantom.scan import make_phantom

        print("Making the sample: a procedural abdominal phantom, non-contrast", flush=True)
        image = make_phantom(seed=0).ncct
        write_volume(image, args.out / "ncct.nrrd", overwrite=True)
    pipeline, made = _load(args), {}
    for phase in pipeline.config.phases:
        start = time.monotonic()
        with shown_progress(args.progress) as show:
            made[phase] = pipeline(image, phase, on_progress=show, should_cancel=should_cancel)
        write_volume(made[phase], args.out / f"{phase}.nrrd", overwrite=True, metadata=_metadata(made[phase]))
        print(f"{args.out / f'{phase}.nrrd'}  ({time.monotonic() - start:.1f} s)", flush=True)
    write_picture(compare_picture(image, made), args.out / "compare.png")
    print(args.out / "compare.png")
    return 0


def _load(args: argparse.Namespace) -> S2LDMPipeline:
    """Load the model, and say what it is and what is fetched before the first byte of it is."""
    from ..pipeline import S2LDMPipeline

    return S2LDMPipeline.from_pretrained(
        args.model, local_files_only=args.offline, device=args.device, dtype=args.dtype,
        on_progress=show_download(args.progress),
    )  # fmt: skip


def _metadata(image: sitk.Image) -> dict[str, str]:
    return {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith(("S2LDM", "description"))}
