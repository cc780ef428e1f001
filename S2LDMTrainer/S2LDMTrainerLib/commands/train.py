"""``s2ldm-train train``: both stages, from prepared data to a model folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from S2LDMLib.commands.console import add_progress

HELP = "train an autoencoder and a denoiser on prepared data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("data", type=Path, metavar="PREPARED", help="folder that 's2ldm-train prepare' has written")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder for checkpoints, logs and the model")
    parser.add_argument("--preset", default="default", help="name of a preset, or a .json file (default: default)")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="KEY=VALUE",
        help="change a value of the preset, e.g. diffusion_training.schedule.steps=500; may be repeated",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--accumulate", type=int, default=1, metavar="N", help="passes over a batch, to save memory")
    parser.add_argument("--hold-out", action="append", default=[], metavar="PATIENT", help="validate on this patient")
    parser.add_argument("--autoencoder", type=Path, metavar="MODEL", help="take over this model's autoencoder")
    parser.add_argument("--attribution", default="", metavar="TEXT", help="whose data it is, and its licence")
    add_progress(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Train, and say where the model is."""
    from ..recipe import load_preset
    from ..training.train import TrainingOptions, train

    recipe = load_preset(args.preset, args.changes)
    options = TrainingOptions(
        device=args.device, accumulate=args.accumulate, progress=args.progress, resume=args.resume,
        hold_out=tuple(args.hold_out), autoencoder=args.autoencoder, attribution=args.attribution,
    )  # fmt: skip
    model = train(args.data, args.run, recipe, options, should_cancel)
    if args.progress != "json":
        print(model)
    return 0
