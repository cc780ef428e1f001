"""A training run from prepared data to a model folder: both stages, one after the other."""

from __future__ import annotations

import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from S2LDMLib.about import __version__
from S2LDMLib.errors import Cancelled, InputError
from S2LDMLib.inference.devices import DTYPES
from S2LDMLib.model.config import AutoencoderConfig
from S2LDMLib.model.config_files import load_config
from S2LDMLib.model.weights import load_weights
from S2LDMLib.pipeline import S2LDMPipeline

from ..data import TRAIN, VALIDATION, Case, load_cases
from ..recipe import Recipe
from .autoencoder_stage import AutoencoderStage
from .diffusion_stage import DiffusionStage
from .journal import Journal
from .loop import run_stage
from .machine import Machine
from .run_folder import RunFolder
from .slabs import check_spacing
from .validation import Validator, model_config


@dataclass(frozen=True)
class TrainingOptions:
    """How a recipe is run here.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        accumulate: passes that a process makes over its part of a batch.
        progress: ``bar``, ``json`` or ``none``.
        resume: whether to go on with the run in the folder.
        hold_out: patients that validate, instead of those that the manifest names.
        autoencoder: model folder whose trained autoencoder is taken over.
        attribution: whose the training data are, for the model's provenance.
    """

    device: str = "auto"
    accumulate: int = 1
    progress: str = "bar"
    resume: bool = False
    hold_out: tuple[str, ...] = ()
    autoencoder: Path | None = None
    attribution: str = ""


@dataclass(frozen=True)
class TrainingData:
    """Cases to train on, to validate on, and those left out because preparation flagged them."""

    train: list[Case]
    validation: list[Case]
    flagged: list[Case]

    def __str__(self) -> str:
        return f"training on {_summary(self.train)}; validating on {_summary(self.validation)}"


def train(
    prepared: Path, out: Path, recipe: Recipe, options: TrainingOptions, should_cancel: Callable[[], bool]
) -> Path:
    """Train both stages in the run folder ``out``; returns the model folder.

    Raises:
        InputError: data, recipe, machine and folder do not go together; raised before anything is written.
        TrainingError: the machine or the numbers failed; the message says how to go on.
        Cancelled: asked to stop; a checkpoint was written.
    """
    data = choose_cases(prepared, recipe, options.hold_out)
    machine = Machine(options.device, recipe.precision, options.accumulate)
    run = RunFolder(out, owner=machine.is_main)
    run.check(recipe, options.resume)
    journal = Journal(run, options.progress, machine.is_main)
    first = AutoencoderStage(recipe, data.train, data.validation, machine)
    trained = _take_over(first, recipe, options.autoencoder)
    second = DiffusionStage(
        recipe, data.train, first.average, machine, Validator(recipe, data.validation, machine, journal)
    )
    with run:
        run.begin(recipe)
        journal.open()
        try:
            for line in (str(data), *(f"left out: {case.name}, {case.flag}" for case in data.flagged)):
                journal.say(line)
            if not trained:
                run_stage(first, run, machine, journal, should_cancel)
            run_stage(second, run, machine, journal, should_cancel)
            if machine.is_main:
                _save_model(run, recipe, first, second, _provenance(recipe, data, options, machine))
        except BaseException as error:
            journal.end("cancelled" if isinstance(error, (Cancelled, KeyboardInterrupt)) else "failed", str(error))
            raise
        journal.end("done", str(run.model))
    return run.model


def choose_cases(prepared: Path, recipe: Recipe, hold_out: Sequence[str]) -> TrainingData:
    """Split the prepared cases, less those that were flagged.

    Raises:
        InputError: nothing is left to train on, a case does not fit the recipe, a held-out patient is unknown.
    """
    cases = load_cases(prepared)
    if unknown := set(hold_out) - {case.patient for case in cases}:
        known = ", ".join(sorted({case.patient for case in cases}))
        raise InputError(f"There is no patient {', '.join(sorted(unknown))} to hold out. Use one of {known}.")
    flagged = [case for case in cases if case.flag]
    good = [case for case in cases if not case.flag]
    held = [case.patient in hold_out if hold_out else case.split == VALIDATION for case in good]
    train = [case for case, out in zip(good, held, strict=True) if not out]
    validation = [case for case, out in zip(good, held, strict=True) if out and case.phases]
    if not any(set(case.phases) & set(recipe.phases) for case in train):
        but = f", after {len(flagged)} flagged cases were left out" if flagged else ""
        raise InputError(
            f"{prepared} holds no {TRAIN}ing pair with {' or '.join(recipe.phases)}{but}. Prepare more pairs, or "
            "change the recipe's phases."
        )
    for case in (*train, *validation):
        check_spacing(case, recipe.preprocess)
    return TrainingData(train, validation, flagged)


def _take_over(stage: AutoencoderStage, recipe: Recipe, folder: Path | None) -> bool:
    """Load the autoencoder of a finished model; False where it has to be trained."""
    if folder is None:
        return stage.set_without_training()
    if load_config(AutoencoderConfig, folder / "autoencoder" / "config.json") != recipe.autoencoder:
        raise InputError(f"The autoencoder of {folder} is not that of the recipe. Use the preset that made it.")
    load_weights(stage.average, folder / "autoencoder" / "model.safetensors")
    return True


def _save_model(
    run: RunFolder, recipe: Recipe, first: AutoencoderStage, second: DiffusionStage, provenance: dict[str, str]
) -> None:
    """Write the model beside its place, then rename it."""
    partial = run.folder / ".model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    config = model_config(recipe, provenance)
    S2LDMPipeline(config, first.average, second.average, second.scheduler).save_pretrained(
        partial, DTYPES[recipe.store]
    )
    shutil.rmtree(run.model, ignore_errors=True)
    os.replace(partial, run.model)


def _provenance(recipe: Recipe, data: TrainingData, options: TrainingOptions, machine: Machine) -> dict[str, str]:
    first, second = recipe.autoencoder_training.schedule, recipe.diffusion_training.schedule
    device = torch.cuda.get_device_name() if machine.device.type == "cuda" else f"{platform.machine()} CPU"
    entries = {
        "data": options.attribution,
        "cases": str(data),
        "training": f"S2LDM {__version__}: {first.steps} autoencoder steps of {first.batch}, {second.steps} denoiser "
        f"steps of {second.batch}, seed {recipe.seed}, {machine.precision}, {machine.processes} x {device}",
        "intended use": "demonstration and research; not a medical device",
    }
    return {key: value for key, value in entries.items() if value}


def _summary(cases: Sequence[Case]) -> str:
    """Count cases, patients and kinds: ``5 cases of 3 patients (3 pair, 2 phantom)``."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(case.kind for case in cases).items()))
    patients = len({case.patient for case in cases})
    return f"{len(cases)} cases of {patients} patients ({kinds})" if cases else "nothing"
