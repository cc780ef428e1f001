"""How a result was made, in a JSON file beside it: for formats whose header has no room for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..atomic import atomic_write
from ..errors import InputError
from .files import OUTPUT_SUFFIXES

_SENTENCE = "SYNTHETIC. Made from a non-contrast CT by a model; not a real scan, not for diagnosis."


def sidecar_path(volume: Path) -> Path:
    """Where the sidecar of a volume lies: ``result.json`` for ``result.nii.gz``, as in BIDS."""
    name = next((volume.name[: -len(end)] for end in OUTPUT_SUFFIXES if volume.name.lower().endswith(end)), volume.stem)
    return volume.with_name(f"{name}.json")


def write_sidecar(volume: str | Path, provenance: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Write the sidecar of a volume, all or nothing; returns its path.

    Args:
        volume: file of the result.
        provenance: entries such as those of
            :meth:`S2LDMPipeline.provenance <S2LDMLib.pipeline.S2LDMPipeline.provenance>`.

    Raises:
        InputError: the sidecar exists and may not be replaced, or the disk refused.
    """
    volume = Path(volume)
    path = sidecar_path(volume)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists. Give another output file, or allow it with --overwrite.")
    content = {"notice": _SENTENCE, "synthetic": True, "file": volume.name, **provenance}
    try:
        with atomic_write(path) as partial:
            partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} could not be written. Check the disk's free space and permissions.") from error
    return path
