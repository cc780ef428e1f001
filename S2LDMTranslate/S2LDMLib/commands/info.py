"""``s2ldm info``: say what a model is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

HELP = "describe a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("model", metavar="MODEL", help="bundled, a folder, or hf://REPO_ID[@REVISION]")
    parser.add_argument("--json", action="store_true", help="print the whole configuration as JSON, not the model card")
    parser.add_argument("--offline", action="store_true", help="use the cache only, never the network")


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Print the model's card and the facts of its files."""
    from ..model.hub import resolve_model
    from ..model.info import card, describe_model

    source = resolve_model(args.model, local_files_only=args.offline)
    described = describe_model(source)
    if args.json:
        print(json.dumps(described, indent=2))
        return 0
    print(card(source.folder) or f"{described['name']} (no model card)", end="\n\n")
    for name in ("model", "revision", "folder", "licence"):
        print(f"{name + ':':11}{described[name]}")
    print(f"{'phases:':11}{', '.join(described['phases'])}")
    print(f"{'size:':11}{described['bytes'] / 1e6:.1f} MB")
    return 0
