"""The commands about models: ``s2ldm info`` describes one, ``s2ldm download`` fetches one from the Hub."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable

from ..errors import Cancelled


def add_info(parser: argparse.ArgumentParser) -> None:
    """Options of ``s2ldm info``."""
    parser.add_argument("model", metavar="MODEL", help="bundled, a folder, or REPO_ID[@REVISION]")
    parser.add_argument("--json", action="store_true", help="print the whole configuration as JSON, not the model card")
    parser.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    parser.set_defaults(command=_info)


def add_download(parser: argparse.ArgumentParser) -> None:
    """Options of ``s2ldm download``."""
    parser.add_argument("model", metavar="REPO_ID[@REVISION]", help="a model on the Hub")
    parser.add_argument("--dry-run", action="store_true", help="fetch nothing; print size and licence as JSON")
    parser.add_argument("--progress", default="bar", choices=["bar", "json", "none"])
    parser.set_defaults(command=_download)


def show_download(kind: str) -> Callable[[float, str], None]:
    """Shows the fraction of a download and the file that is fetched: ``bar``, ``json`` or ``none``."""

    def show(fraction: float, name: str) -> None:
        if kind == "json":
            print(json.dumps({"stage": "download", "fraction": round(fraction, 4), "file": name}), flush=True)
        elif kind == "bar":
            print(f"\rdownload  {fraction:4.0%}  {name:<40}", end="" if fraction < 1 else "\n", file=sys.stderr)

    return show


def _info(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
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


def _download(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    from ..model.hub import resolve_model
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
            raise Cancelled("Cancelled; what has arrived is kept, and the next download goes on from there.")
        shown(fraction, name)

    source = resolve_model(args.model, on_progress=on_progress)
    print(json.dumps(describe_model(source)), flush=True)
    return 0
