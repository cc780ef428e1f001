"""What the commands that run a model have in common: its options, loading it, and what they write of a result."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .console import add_progress, show_download

if TYPE_CHECKING:
    import SimpleITK as sitk

    from ..pipeline import S2LDMPipeline


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which model runs, and on what."""
    parser.add_argument("--model", default="bundled", metavar="bundled|FOLDER|hf://REPO_ID[@REVISION]")
    parser.add_argument("--offline", action="store_true", help="use the cache only, never the network")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    add_progress(parser)


def load_pipeline(args: argparse.Namespace) -> S2LDMPipeline:
    """Load the model, and say what it is and what is fetched before the first byte of it is."""
    from ..pipeline import S2LDMPipeline

    return S2LDMPipeline.from_pretrained(
        args.model, local_files_only=args.offline, device=args.device, dtype=args.dtype,
        on_progress=show_download(args.progress),
    )  # fmt: skip


def provenance_of(result: sitk.Image) -> dict[str, str]:
    """The entries of a result's header that say how it was made."""
    return {
        key: result.GetMetaData(key) for key in result.GetMetaDataKeys() if key.startswith(("S2LDM", "description"))
    }
