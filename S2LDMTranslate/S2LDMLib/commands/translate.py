"""``s2ldm translate``: one NCCT into one phase, as a volume file or as a DICOM series of its source's study."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..model.config import PHASES
from .console import shown_progress
from .dicom_export import add_export, given_export_option, open_dicom_output
from .engine import add_engine, load_pipeline, provenance_of
from .outputs import check_distinct

if TYPE_CHECKING:
    import SimpleITK as sitk

    from ..volume.region import Region

HELP = "translate one volume"
_VOLUME, _DICOM = "volume", "dicom"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
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
    parser.add_argument(
        "--format", choices=[_VOLUME, _DICOM], default=_VOLUME, help="dicom: OUTPUT is a folder for a DICOM series"
    )
    add_engine(parser)
    add_export(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Check every output first, then read, translate and write."""
    from ..atomic import together
    from ..reading import read_ncct
    from ..volume.files import write_volume
    from ..volume.preview import compare_picture, write_picture
    from ..volume.region import Region
    from ..volume.sidecar import write_sidecar

    dicom = open_dicom_output(args) if args.format == _DICOM else None
    _check_files(args)
    region = Region.of_bounds(args.region) if args.region else None
    image = dicom.read() if dicom else read_ncct(args.input, args.series)
    made = _translate(args, image, region, should_cancel)
    with together():
        for result, path in zip(made, (None if dicom else args.output, args.sd), strict=False):
            if path:
                write_volume(result, path, args.overwrite, provenance_of(result), Path(args.input))
            if path and args.sidecar:
                write_sidecar(path, provenance_of(result), args.overwrite)
        if args.preview:
            write_picture(compare_picture(image, {args.phase: made[0]}), args.preview)
        if dicom:
            with shown_progress(args.progress) as show:
                dicom.write(made[0], provenance_of(made[0]), show, should_cancel)
    return 0


def _check_files(args: argparse.Namespace) -> None:
    """Raises InputError where a file could not be written, before any work."""
    from ..volume.detached import files_of
    from ..volume.files import OUTPUT_SUFFIXES, check_output_path
    from ..volume.sidecar import sidecar_path

    if args.format == _VOLUME:
        if not args.output.lower().endswith(OUTPUT_SUFFIXES):
            raise InputError(
                f"{args.output} does not end with {' or '.join(OUTPUT_SUFFIXES)}. Give such a file, or add --format "
                "dicom to write a DICOM series into that folder."
            )
        if given := given_export_option(args):
            raise InputError(f"{given} needs --format dicom. Add it, or leave the option out.")
        check_output_path(args.output, args.overwrite)
    if args.preview:
        check_output_path(args.preview, args.overwrite, (".png",))
    if args.sd:
        check_output_path(args.sd, args.overwrite)
    outputs = {"OUTPUT": Path(args.output), "--sd": args.sd, "--preview": args.preview}
    if args.sidecar:
        for option in ("OUTPUT", "--sd"):
            if path := outputs[option]:
                outputs[f"--sidecar of {option}"] = sidecar_path(path)
                check_output_path(sidecar_path(path), args.overwrite, (".json",))
    check_distinct(files_of(Path(args.input)), {option: path for option, path in outputs.items() if path})
    if args.sd and args.samples == 1:
        raise InputError("--sd needs several samples. Add --samples N.")


def _translate(
    args: argparse.Namespace, image: sitk.Image, region: Region | None, should_cancel: Callable[[], bool]
) -> tuple[sitk.Image, ...]:
    """The result, and for several samples their standard deviation."""
    pipeline = load_pipeline(args)
    options = {"steps": args.steps, "seed": args.seed, "detail": args.detail, "region": region}
    if args.samples != 1:
        pipeline.check_samples(args.samples, args.steps)
    with shown_progress(args.progress) as show:
        options |= {"on_progress": show, "should_cancel": should_cancel}
        if args.samples == 1:
            return (pipeline(image, args.phase, **options),)
        return pipeline.samples(image, args.phase, args.samples, **options)
