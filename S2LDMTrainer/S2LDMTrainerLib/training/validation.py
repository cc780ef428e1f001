"""Scores and pictures while a denoiser is trained: the very pipeline that ships, on whole validation volumes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from S2LDMLib.errors import S2LDMWarning
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import ModelConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.denoisers import Denoiser
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.volume.preview import compare_picture

from ..data import Case
from ..recipe import Recipe
from ..scoring.regions import find_regions
from ..scoring.scores import bias, mae, psnr
from .journal import Journal
from .machine import Machine

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def model_config(recipe: Recipe, provenance: dict[str, str] | None = None) -> ModelConfig:
    """The ``config.json`` of the model that a recipe makes."""
    return ModelConfig(
        name=recipe.name, phases=recipe.phases, preprocess=recipe.preprocess,
        residual_decode=recipe.autoencoder_training.target == "own", provenance=provenance or {},
    )  # fmt: skip


class Validator:
    """Translates the validation cases, shared out over the processes."""

    def __init__(self, recipe: Recipe, cases: Sequence[Case], machine: Machine, journal: Journal) -> None:
        self.recipe, self.machine, self.journal = recipe, machine, journal
        paired = [case for case in cases if set(case.phases) & set(recipe.phases)]
        few = paired[: recipe.diffusion_training.validation_cases]
        wanted = [(case, phase) for case in few for phase in recipe.phases if phase in case.phases]
        process, processes = machine.accelerator.process_index, machine.processes
        self.wanted = wanted[process::processes]
        self.any = bool(wanted)

    def score(
        self, autoencoder: SyncreticAutoencoder, denoiser: Denoiser, scheduler: LatentScheduler,
        step: int,
    ) -> dict[str, float]:  # fmt: skip
        """Average scores over cases and phases. A collective call.

        Returns:
            Body PSNR at W400/L0 (``score`` is its negative) and soft-core PSNR in dB, error and bias in HU; empty where
            there are no validation cases.
        """
        if not self.any:
            return {}
        # Copies, since a pipeline chooses layout and device of its networks as it likes.
        networks = copy.deepcopy(autoencoder), copy.deepcopy(denoiser)
        pipeline = S2LDMPipeline(
            model_config(self.recipe), *networks, scheduler,
            device=str(self.machine.device), dtype=DTYPES[self.machine.precision],
        )  # fmt: skip
        rows = self.machine.gather([self._score(pipeline, case, phase, step) for case, phase in self.wanted])
        means = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
        return {"score": -means["body_psnr"], **means}

    def _score(self, pipeline: S2LDMPipeline, case: Case, phase: str, step: int) -> dict[str, float]:
        ncct, real = case.image("ncct"), case.image(phase)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", S2LDMWarning)  # told when the case was prepared
            synthetic = pipeline(ncct, phase)
        if self.journal.writes and (case, phase) in self.wanted[: len(self.recipe.phases)]:
            picture = compare_picture(ncct, {phase: synthetic}, {phase: real})
            self.journal.picture(f"{case.name}_{phase}", step, picture)
        made, true = sitk.GetArrayViewFromImage(synthetic), sitk.GetArrayViewFromImage(real)
        regions = find_regions(case, phase)
        return {
            "body_psnr": psnr(made, true, regions.body),
            "soft_core_psnr": psnr(made, true, regions.soft_core),
            "body_mae_hu": mae(made, true, regions.body),
            "enhanced_bias_hu": bias(made, true, regions.enhanced),
        }
