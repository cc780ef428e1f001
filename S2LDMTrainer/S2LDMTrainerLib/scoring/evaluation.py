"""Evaluation: every method is scored on every case and phase against the registered CECT; mean and SD over cases.

The model runs through :class:`~S2LDMLib.pipeline.S2LDMPipeline`, so that what is scored is what ships.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from S2LDMLib.errors import Cancelled, InputError
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import ProgressReporter

from ..data import Case
from .baselines import autoencoder_only, ceiling
from .catalogue import MODEL, Statistics, Summary
from .regions import Regions, find_regions
from .rois import Roi, roi_mask
from .scores import bias, mae, mean_over, means_by_label, nmae, nmse, psnr, ssim_map

MetricValues = dict[str, float | None]  # of one synthetic CECT, by metric; None where a score is undefined
ShouldCancel = Callable[[], bool]
Method = Callable[[Case, str], sitk.Image]  # case and phase to a CECT on the NCCT's grid, HU
OnCase = Callable[[Case, str, dict[str, sitk.Image], dict[str, MetricValues]], None]


@dataclass(frozen=True)
class Contestant:
    """A model to score, and how it is run; None stands for the model's own choice."""

    pipeline: S2LDMPipeline
    steps: int | None = None
    detail: str | None = None
    seed: int = 0

    def describe(self) -> dict[str, Any]:
        """Return what identifies it in a report: ``id``, ``revision``, ``detail``, ``steps``, ``seed``."""
        entries = self.pipeline.provenance("", self.chosen_steps, self.seed, self.chosen_detail)
        return {
            "id": entries["S2LDM_model"],
            "revision": entries["S2LDM_revision"],
            "detail": self.chosen_detail,
            "steps": self.chosen_steps,
            "seed": self.seed,
        }

    @property
    def chosen_steps(self) -> int:
        return self.pipeline.scheduler.config.steps if self.steps is None else self.steps

    @property
    def chosen_detail(self) -> str:
        return self.detail or ("native" if self.pipeline.config.residual_decode else "model")

    def translate(self, case: Case, phase: str, should_cancel: ShouldCancel) -> sitk.Image:
        return self.pipeline(
            case.image("ncct"), phase, steps=self.steps, seed=self.seed, detail=self.detail,
            should_cancel=should_cancel,
        )  # fmt: skip


@dataclass(frozen=True)
class PhaseScores:
    """The scores of one phase, by case, method and metric."""

    cases: dict[str, dict[str, MetricValues]] = field(default_factory=dict)

    def summary(self) -> Summary:
        """Return mean, SD and n over the cases; the SD is that of the sample, and None for one case."""
        methods = next(iter(self.cases.values()), {})
        return {
            method: {
                metric: _mean_and_sd([scores[method].get(metric) for scores in self.cases.values()])
                for metric in dict.fromkeys(name for scores in self.cases.values() for name in scores[method])
            }
            for method in methods
        }


def methods_of(
    model: Contestant, compared: Mapping[str, Contestant], baselines: bool, should_cancel: ShouldCancel
) -> dict[str, Method]:
    """Return the methods by name: the model, those compared with it, then the model's own baselines."""

    def running(contestant: Contestant) -> Method:
        return lambda case, phase: contestant.translate(case, phase, should_cancel)

    methods = {name: running(contestant) for name, contestant in {MODEL: model, **compared}.items()}
    if not baselines:
        return methods
    report = ProgressReporter(should_cancel=should_cancel)
    known: dict[str, Method] = {
        "identity": lambda case, phase: case.image("ncct"),
        "autoencoder_only": lambda case, phase: autoencoder_only(model.pipeline, case.image("ncct"), report),
        "ceiling": lambda case, phase: ceiling(
            model.pipeline, case.image("ncct"), case.image(phase), case.valid(phase) > 0, model.chosen_detail, report
        ),
    }
    return methods | known


def evaluate(
    cases: Sequence[Case], phases: Sequence[str], methods: Mapping[str, Method], rois: Mapping[str, Sequence[Roi]],
    on_case: OnCase, should_cancel: ShouldCancel,
) -> dict[str, PhaseScores]:  # fmt: skip
    """Score every method on every case and phase.

    Args:
        cases: prepared cases; only those that have a phase are scored in it.
        methods: what makes a synthetic CECT, by name.
        rois: discs by the name of their case.
        on_case: called after each case and phase with what each method made, and its scores.

    Returns:
        The scores by phase.

    Raises:
        InputError: a method refuses a case; the message names it.
        Cancelled: ``should_cancel`` returned True.
    """
    results = {phase: PhaseScores() for phase in phases}
    for phase in phases:
        for case in (case for case in cases if phase in case.phases):
            regions = find_regions(case, phase)
            discs = {roi.name: roi_mask(roi, case) & regions.volume for roi in rois.get(case.name, ())}
            made: dict[str, sitk.Image] = {}
            scores: dict[str, MetricValues] = {}
            for name, method in methods.items():
                if should_cancel():
                    raise Cancelled("Cancelled; nothing was written.")
                try:
                    made[name] = method(case, phase)
                except InputError as error:
                    raise InputError(f"{case.name}, {name}: {error}") from error
                scores[name] = score(sitk.GetArrayViewFromImage(made[name]), case, phase, regions, discs)
            results[phase].cases[case.name] = scores
            on_case(case, phase, made, scores)
    return results


def score(
    made: NDArray[Any], case: Case, phase: str, regions: Regions, discs: Mapping[str, NDArray[np.bool_]]
) -> MetricValues:
    """Compute all scores of one synthetic CECT.

    Args:
        made: the synthetic CECT, HU (Z, Y, X).
        discs: masks (Z, Y, X) of the ROIs, by name.

    Returns:
        ``<region>_psnr, _ssim, _nmae, _nmse`` for body and volume; ``soft_core_psnr``; ``body_mae_hu, _bias_hu``;
        ``enhancement_mae_hu, _bias_hu``, which compare (synthetic - NCCT) with (real - NCCT) where the real scan
        enhances; ``unchanged_mae_hu, _bias_hu``, which compare the synthetic image with the NCCT where nothing may
        change;
        ``organ/<name>/...`` and ``roi/<name>/...``. See :mod:`S2LDMTrainerLib.scoring.scores` and ``regions`` for each.
    """
    real, ncct = case.volume(phase), case.volume("ncct")
    # Voxels that were not measured count as equal, so that they cannot spoil the windows of their neighbours.
    similarity = ssim_map(made, np.where(regions.volume, real, made))
    found: dict[str, float] = {}
    for name, mask in (("body", regions.body), ("volume", regions.volume)):
        found[f"{name}_psnr"] = psnr(made, real, mask)
        found[f"{name}_ssim"] = mean_over(similarity, mask)
        found[f"{name}_nmae"] = nmae(made, real, mask)
        found[f"{name}_nmse"] = nmse(made, real, mask)
    found["soft_core_psnr"] = psnr(made, real, regions.soft_core)
    for name, reference, mask in (
        ("body", real, regions.body), ("enhancement", real, regions.enhanced), ("unchanged", ncct, regions.unchanged),
    ):  # fmt: skip
        found[f"{name}_mae_hu"] = mae(made, reference, mask)
        found[f"{name}_bias_hu"] = bias(made, reference, mask)
    found |= _organ_scores(made, real, regions, case.label_names)
    for name, mask in discs.items():
        for key, image in (("synthetic", made), ("real", real), ("ncct", ncct)):
            found[f"roi/{name}/{key}_hu"] = mean_over(image, mask)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _organ_scores(
    made: NDArray[Any], real: NDArray[Any], regions: Regions, names: Mapping[int, str]
) -> dict[str, float]:
    """Compute MAE and bias of each organ, over all of it and over its core, and the real mean of the core."""
    if regions.labels is None or regions.label_cores is None:
        return {}
    error = made.astype(np.float32) - real
    columns = {
        "mae_hu": means_by_label(np.abs(error), regions.labels),
        "bias_hu": means_by_label(error, regions.labels),
        "core_mae_hu": means_by_label(np.abs(error), regions.label_cores),
        "core_bias_hu": means_by_label(error, regions.label_cores),
        "core_real_hu": means_by_label(real, regions.label_cores),
    }
    return {
        f"organ/{name}/{key}": column[value]
        for value, name in names.items()
        for key, column in columns.items()
        if value in column
    }


def _mean_and_sd(values: Sequence[float | None]) -> Statistics:
    known = [value for value in values if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "n": len(known),
    }
