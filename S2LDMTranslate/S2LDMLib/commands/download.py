"""``s2ldm download``: fetch a model from the Hub for later use."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable

from ..errors import Cancelled
from .console import add_progress, show_download

HELP = "fetch a model from the Hub for later use"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("model", metavar="REPO_ID[@REVISION]", help="a model on the Hub")
    parser.add_argument("--dry-run", action="store_true", help="fetch nothing; print size and licence as JSON")
    add_progress(parser)


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Say what the model costs, fetch it, and print what it is."""
    from ..model.hub import HUB_PREFIX, resolve_model
    from ..model.info import describe_model
    from ..model.offer import look_up

    offer = look_up(args.model)
    if args.dry_run:
        print(json.dumps(dataclasses.asdict(offer)))
        return 0
    shown = show_download(args.progress)
    if args.progress == "bar":
        print(f"{offer.model}: {offer.missing_bytes / 1e6:.1f} MB, licence: {offer.licence}", file=sys.stderr)

    def on_progress(fraction: float, name: str) -> None:
        if should_cancel():
            raise Cancelled(
                "Cancelled; the files that have arrived are kept, and the next download fetches the others."
            )
        shown(fraction, name)

    source = resolve_model(HUB_PREFIX + args.model.removeprefix(HUB_PREFIX), on_progress=on_progress)
    print(json.dumps(describe_model(source)), flush=True)
    return 0
