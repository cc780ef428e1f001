"""``s2ldm-train publish``: a trained model becomes a repository on the Hugging Face Hub."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

HELP = "upload a trained model with its card to the Hugging Face Hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder; nothing in it is changed")
    parser.add_argument("repo_id", metavar="REPO_ID", help="owner/name on the Hub; made if there is none")
    parser.add_argument("--scores", type=Path, metavar="JSON", help="what 's2ldm-train evaluate --json' wrote")
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument(
        "--private", dest="private", action="store_true", default=True, help="a new repository is private (default)"
    )
    visibility.add_argument("--public", dest="private", action="store_false", help="everybody may see and use it")
    parser.add_argument("--message", metavar="TEXT", help="message of the commit")
    parser.add_argument("--licence", "--license", metavar="ID", help="of the weights (default: apache-2.0)")
    parser.add_argument(
        "--dataset", action="append", default=[], metavar="ID", help="training data on the Hub; may be repeated"
    )
    parser.add_argument(
        "--data-attribution", action="append", default=[], metavar="TEXT",
        help="a source of the training data and its licence; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--replace-card", action="store_true", help="write the card anew, even where it was written or changed by hand"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, print the card, send nothing")


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Check the model, write its card, upload both."""
    from S2LDMLib.errors import Cancelled
    from S2LDMLib.model.layout import README_FILE, REQUIRED_FILES

    from ..publishing.publish import PublishRequest, draft, upload

    request = PublishRequest(
        folder=args.model,
        repo_id=args.repo_id,
        scores=args.scores,
        private=args.private,
        message=args.message,
        licence=args.licence,
        datasets=tuple(args.dataset),
        attribution=tuple(args.data_attribution),
        replace_card=args.replace_card,
    )
    made = draft(request)
    for note in made.notes:
        print(note, file=sys.stderr)
    if args.dry_run:
        print(made.card, end="")
        files = ", ".join((*REQUIRED_FILES, README_FILE))
        print(f"Nothing was sent. These files would go up ({made.size / 1e6:.1f} MB): {files}", file=sys.stderr)
        return 0
    if should_cancel():
        raise Cancelled("Cancelled; nothing was sent.")
    print(f"The model is sound. Publishing {made.size / 1e6:.1f} MB to {request.repo_id}", file=sys.stderr, flush=True)
    _quieten_client()
    print(upload(request, made))
    return 0


def _quieten_client() -> None:
    """The Hub client warns of its own choice of transfer, and draws its bars into logs."""
    from huggingface_hub.utils import disable_progress_bars, logging

    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()
