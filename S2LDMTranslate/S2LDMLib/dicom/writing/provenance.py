"""How a synthetic volume was made: read back from what the engine wrote into or beside its file, and told in words."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from ...about import NOTICE
from ...errors import InputError, S2LDMWarning
from ...volume.sidecar import sidecar_path

MANUFACTURER = "S2LDM"  # by which a series is known as ours
_PREFIX = "S2LDM_"
_DESCRIPTION = re.compile(r"SYNTHETIC (\S+) CECT by S2LDM ([^\s;]+)")
_DESCRIPTION_KEYS = ("description", "descrip", "ITK_FileNotes")
_DEVIATION = "; standard dev"  # NIfTI cuts the description off
_UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Provenance:
    """What :meth:`S2LDMPipeline.provenance <S2LDMLib.pipeline.S2LDMPipeline.provenance>` says of a result, in ASCII."""

    phase: str
    version: str
    model: str
    revision: str
    steps: str
    seed: str
    detail: str
    samples: str | None
    region: str | None
    warnings: str | None

    @classmethod
    def of(cls, entries: Mapping[str, str]) -> Provenance:
        """Take over the entries; raises InputError where they name no phase, so that they are none of a result."""
        if _PREFIX + "phase" not in entries:
            raise InputError("The volume does not say how it was made. Give a result of 's2ldm translate'.")

        def entry(name: str) -> str | None:
            value = entries.get(_PREFIX + name)
            # A backslash divides values in DICOM.
            return " ".join(value.encode("ascii", "replace").decode().replace("\\", "/").split()) if value else None

        facts = {name: entry(name) or _UNKNOWN for name in ("version", "model", "revision", "steps", "seed", "detail")}
        warned = entry("input_warnings")
        return cls(
            phase=entry("phase") or _UNKNOWN, samples=entry("samples"), region=entry("region"),
            warnings=None if warned == "none" else warned, **facts,
        )  # fmt: skip

    def sentences(self) -> str:
        """Tell people how it was made, without a word on how it was written as DICOM."""
        made = (
            f"SYNTHETIC {self.phase} contrast-enhanced CT, predicted from a non-contrast CT by S2LDM {self.version}: "
            f"model {self.model}, revision {self.revision}, steps {self.steps}, seed {self.seed}, detail {self.detail}."
        )
        if self.samples:
            made += f" Mean of {self.samples} samples."
        if self.region:
            made += f" Only the box {self.region} (mm, LPS) was translated; the rest is the source."
        return f"{made} Not a real scan: no contrast medium was given. {NOTICE}."

    def entries(self) -> str:
        """Tell programs how it was made: ``key=value; ...``."""
        return "; ".join(f"{name}={value}" for name, value in vars(self).items() if value is not None)


def read_provenance(volume: Path, image: sitk.Image) -> dict[str, str]:
    """Read the engine's entries for a volume file from its header, or else from the .json beside it.

    Args:
        volume: the file.
        image: what was read from it.

    Raises:
        InputError: nothing says that the volume is a result of the engine; it is a standard deviation; or the file and
            the .json contradict each other.
    """
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    description = " ".join(header[key] for key in _DESCRIPTION_KEYS if key in header)
    said = _DESCRIPTION.search(description)
    entries = {key: value for key, value in header.items() if key.startswith(_PREFIX)}
    if _PREFIX + "phase" not in entries:
        entries = _of_sidecar(volume)
        description += str(entries.get("description", ""))
        if said and entries and said[1] != entries[_PREFIX + "phase"]:
            raise InputError(
                f"{volume} is {said[1]}, and {sidecar_path(volume)} says {entries[_PREFIX + 'phase']}. Give the volume "
                "with its own .json."
            )
    if _DEVIATION in description:
        raise InputError(f"{volume} is a standard deviation and no CT. Give the volume of the translation itself.")
    if not entries and said:
        warnings.warn(
            f"{volume} does not tell its model and seed, and there is no {sidecar_path(volume).name} beside it: the "
            f"series will say '{_UNKNOWN}'.", S2LDMWarning, stacklevel=2,
        )  # fmt: skip
        entries = {_PREFIX + "phase": said[1], _PREFIX + "version": said[2]}
    if not entries:
        raise InputError(
            f"{volume} does not say that it is a result of this program, and a real scan must not become a synthetic "
            "series. Give a volume from 's2ldm translate', with its .json beside it if another program saved it anew."
        )
    return entries


def _of_sidecar(volume: Path) -> dict[str, str]:
    path = sidecar_path(volume)
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). Copy it anew, or remove it.") from error
    if not isinstance(content, dict) or content.get("synthetic") is not True or _PREFIX + "phase" not in content:
        return {}
    if content.get("file") != volume.name:
        raise InputError(
            f"{path} is about {content.get('file')}, not {volume.name}. Give the volume with its own .json."
        )
    return {key: str(value) for key, value in content.items() if key.startswith((_PREFIX, "description"))}
