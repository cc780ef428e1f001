"""From a source to what a prepared case holds; one function a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PHASES
from S2LDMLib.phantom.scan import make_phantom
from S2LDMLib.phantom.tissues import LABELS

from .case_store import Built, write_case
from .pair_checks import CheckFindings, read_ct
from .plausibility import doubt_enhancement, doubt_registration, enhancement
from .recolour import SPACING_MM, recoloured_triple
from .registration import register
from .sources import Source
from .volumes import Spacing, average_to, labels_on, read_labels, to_ct, to_spacing

PHANTOM_SIZE = (256, 256, 40)
PHANTOM_SPACING: Spacing = (1.5, 1.5, 5.0)


@dataclass(frozen=True)
class BuildOptions:
    """What a prepared case depends on beside its source.

    Attributes:
        spacing: x, y, z in mm of prepared volumes; None keeps the NCCT's own grid.
        phantom_size: voxels x, y, z.
    """

    spacing: Spacing | None = None
    phantom_size: tuple[int, int, int] = PHANTOM_SIZE

    def for_kind(self, kind: str) -> dict[str, Any]:
        """Choose the options that matter to a kind, for its fingerprint."""
        size = {"phantom_size": self.phantom_size} if kind == "phantom" else {}
        return {"spacing": self.spacing, **size}


def build_case(out: Path, source: Source, options: BuildOptions, doubts: CheckFindings, mark: str) -> dict[str, Any]:
    """Prepare one case and write it; returns what ``case.json`` records.

    Raises:
        InputError: the source cannot be used.
    """
    builders: Mapping[str, Callable[[Source, BuildOptions], Built]] = {
        "pair": _pair, "cect": _cect, "recoloured": _recoloured, "phantom": _phantom,
    }  # fmt: skip
    built = builders[source.kind](source, options)
    flags = [flag for flag in (doubts.flag, built.flag) if flag]
    built = replace(built, flag="; ".join(flags) or None, warnings=doubts.warnings)
    return write_case(out / source.case, source, built, mark)


def _pair(source: Source, options: BuildOptions) -> Built:
    ncct = to_spacing(to_ct(read_ct("ncct", source.files["ncct"])), options.spacing)
    arrays, figures, found, doubts = {"ncct": sitk.GetArrayFromImage(ncct)}, {}, {}, []
    for phase in source.phases:
        # Thin voxels are averaged, not skipped; then one interpolation takes the scan to its place.
        cect = average_to(to_ct(read_ct(phase, source.files[phase])), ncct.GetSpacing())
        try:
            result = register(cect, ncct)
        except InputError as error:
            raise InputError(f"{phase}: {error}") from error
        arrays[phase] = sitk.GetArrayFromImage(result.image)
        arrays[f"{phase}_valid"] = sitk.GetArrayFromImage(result.valid)
        figures[phase] = {**result.quality.to_dict(), "valid": round(float(arrays[f"{phase}_valid"].mean()), 4)}
        measured = enhancement(ncct, result.image, result.valid)
        if measured is not None:
            found[phase] = measured
            figures[phase] |= measured.to_dict()
        doubts.append(doubt_registration(phase, result.quality))
    doubts.append(doubt_enhancement(found))
    if "labels" in source.files:
        arrays["labels"] = labels_on(ncct, read_labels(source.files["labels"]))
    flag = "; ".join(doubt for doubt in doubts if doubt) or None
    return Built(arrays, grid_of(ncct), flag, figures, label_names=source.label_names)


def _cect(source: Source, options: BuildOptions) -> Built:
    image = to_spacing(to_ct(read_ct("cect", source.files["cect"])), options.spacing)
    return Built({"cect": sitk.GetArrayFromImage(image)}, grid_of(image))


def _recoloured(source: Source, options: BuildOptions) -> Built:
    files = source.files["ct"], source.files["labels"]
    images = recoloured_triple(*files, source.seed, options.spacing or SPACING_MM)
    return Built(_all_valid(images), grid_of(images["ncct"]))


def _phantom(source: Source, options: BuildOptions) -> Built:
    phantom = make_phantom(source.seed, options.phantom_size, options.spacing or PHANTOM_SPACING)
    images = {name: sitk.DICOMOrient(getattr(phantom, name), "LPS") for name in ("ncct", *PHASES, "labels")}
    arrays = {**_all_valid(images), "labels": sitk.GetArrayFromImage(images["labels"])}
    return Built(arrays, grid_of(images["ncct"]), label_names={value: name for name, value in LABELS.items()})


def grid_of(image: sitk.Image) -> dict[str, Sequence[float]]:
    """Describe the geometry of an image, for ``case.json``."""
    return {"spacing": image.GetSpacing(), "origin": image.GetOrigin(), "direction": image.GetDirection()}


def _all_valid(images: Mapping[str, sitk.Image]) -> dict[str, np.ndarray]:
    """Call each voxel valid: the images of a synthetic triple share one geometry."""
    arrays = {name: sitk.GetArrayFromImage(images[name]) for name in ("ncct", *PHASES)}
    return arrays | {f"{phase}_valid": np.ones(arrays[phase].shape, np.uint8) for phase in PHASES}
