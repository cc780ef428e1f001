"""The recipe of a training run: frozen dataclasses, and presets as JSON files beside the code.

A preset names only what differs from the defaults below, or from the preset that it ``extends``. The run folder keeps
the whole recipe (``recipe.json``), so that a run can be resumed and repeated whatever becomes of the presets.

Source of the paper's settings: arXiv 2406.13977. What it left open is listed in ``presets/paper.json`` under ``notes``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from S2LDMLib.errors import InputError
from S2LDMLib.model.config import (
    PAPER,
    PHASES,
    RESIDUAL_X0,
    AutoencoderConfig,
    DenoiserConfig,
    PreprocessConfig,
    SchedulerConfig,
)
from S2LDMLib.model.config_files import build_config

PRESETS = Path(__file__).parent / "presets"
AUGMENTATIONS = ("none", "light", "full")
# Keys that version 0.1.0 wrote, and values with which a run of it trains as it does today. ``pad: false`` refused
# volumes that ``true`` would have padded: a run that it let begin needs no padding.
FORMER_KEYS = {("data", "pad"): (True, False), ("diffusion_training", "mask_loss"): (False,)}


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage is trained.

    Attributes:
        steps: optimizer steps in all.
        batch: samples of a step over all processes together; how they are divided is the machine's matter, the result
            is the same.
        learning_rate: the highest rate of AdamW, which comes after a linear warm-up over ``warmup`` steps and falls by
            half a cosine.
        weight_decay: of AdamW.
        clip: the largest norm of the gradient.
        average: decay of the exponential moving average of the weights, which is what is kept.
        checkpoint_every, validate_every: every so many steps.
        keep: which weights the stage hands on: those of its ``last`` step, or the ``best`` validated ones.
    """

    steps: int = 1000
    batch: int = 8
    learning_rate: float = 2e-3
    warmup: int = 40
    weight_decay: float = 0.0
    clip: float = 1.0
    average: float = 0.995
    checkpoint_every: int = 250
    validate_every: int = 500
    keep: str = "last"


@dataclass(frozen=True)
class DataRecipe:
    """What samples are drawn from.

    A volume that is smaller than the crop in the plane is padded with air, where a pair does not count; one with fewer
    slices than the crop is refused.

    Attributes:
        share: part of the samples by kind of case; kinds that are not there are left out.
        workers: processes that read and augment ahead, for each training process.
    """

    share: dict[str, float] = field(
        default_factory=lambda: {"pair": 0.6, "recoloured": 0.3, "phantom": 0.1, "cect": 0.3}
    )
    workers: int = 0


@dataclass(frozen=True)
class AutoencoderTraining:
    """Stage 1, the syncretic autoencoder.

    Attributes:
        crop: voxels (z, y, x) of a sample.
        augmentation: one of ``AUGMENTATIONS``.
        target: ``cect``: D makes the CECT of either embedding (paper); ``own``: of each embedding its own image, which
            residual decoding needs.
        syncretic: the encoder sees the NCCT in training too; without it, it is an autoencoder of CECTs alone.
        detail_weight: weight of an L1 on the local detail (image less its 5 x 5 mean).
        hf_amount, hf_sigma: strength of the high-frequency enhancement of the target, and its Gaussian's sigma in
            voxels.
        similarity_weight, gamma: weight and focus of the adaptive similarity loss.
        vq_weight: weight of the commitment to the codebook.
        quantise_from: part of the training without quantisation, which keeps the codebook from collapsing.
        codebook_decay: decay of the codebook's moving average.
        adversarial_weight: weight of the patch discriminator; 0 leaves it out.
        adversarial_from: part of the training before the discriminator starts.
        discriminator_channels, discriminator_layers: its width and depth.
        schedule: how long and how fast.
    """

    crop: tuple[int, int, int] = (1, 128, 128)
    augmentation: str = "light"
    target: str = "own"
    syncretic: bool = True
    detail_weight: float = 1.0
    hf_amount: float = 0.0
    hf_sigma: float = 1.0
    similarity_weight: float = 0.0
    gamma: float = 2.0
    vq_weight: float = 0.25
    quantise_from: float = 0.4
    codebook_decay: float = 0.99
    adversarial_weight: float = 0.0
    adversarial_from: float = 0.5
    discriminator_channels: int = 64
    discriminator_layers: int = 3
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class DiffusionTraining:
    """Stage 2, the denoiser over latents of the frozen autoencoder.

    Attributes:
        crop: voxels (z, y, x) of a sample, without the context of the denoiser.
        chunk: slices that are read, augmented and encoded at once; samples are cut from them.
        chunks: chunks that are kept for each sample of the batch.
        renew_every: steps after which the oldest chunk is replaced. With 1 and 1 every sample is encoded anew; many
            chunks that are seldom renewed are a cache of latents.
        augmentation: one of ``AUGMENTATIONS``.
        dynamic_mask: whether the similarity mask is used.
        mask_formula, mask_exponent: reading of the mask's formula and its exponent a, see
            :func:`S2LDMTrainerLib.method.similarity.dynamic_similarity_mask`.
        masked_part: part of the steps until the mask has become ones.
        last_step_part: part of the samples that is taken at the last noise step, which is what one-step sampling asks
            for (``residual_x0``).
        l1_weight: weight of an L1 beside the squared error.
        elsewhere_weight: weight of the error where the NCCT holds no soft tissue (bone, fat, lung, air), 0 to 1.
        validation_cases: whole volumes that are translated at a validation, at most.
        schedule: how long and how fast.
    """

    crop: tuple[int, int, int] = (3, 256, 256)
    chunk: int = 8
    chunks: int = 32
    renew_every: int = 6
    augmentation: str = "full"
    dynamic_mask: bool = True
    mask_formula: str = "structural_first"
    mask_exponent: float = 2.0
    masked_part: float = 0.5
    last_step_part: float = 0.75
    l1_weight: float = 0.5
    elsewhere_weight: float = 1.0
    validation_cases: int = 8
    schedule: Schedule = field(default_factory=lambda: Schedule(batch=2, weight_decay=1e-3))


@dataclass(frozen=True)
class Recipe:
    """All that a run is made of, besides its data.

    Attributes:
        name: the model's name.
        preset: name of the preset that the recipe started from.
        phases: the contrast phases that one model learns.
        seed: all randomness of the training is a function of it and of the step.
        precision: ``auto`` (bfloat16 where the hardware computes in it), ``fp32``, ``bf16``, ``fp16``.
        store: dtype of the finished model's weights.
        notes: why a value is what it is, free text by key.
    """

    name: str = "S2LDM"
    preset: str = ""
    phases: tuple[str, ...] = PHASES
    seed: int = 0
    precision: str = "auto"
    store: str = "float32"
    data: DataRecipe = field(default_factory=DataRecipe)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    autoencoder_training: AutoencoderTraining = field(default_factory=AutoencoderTraining)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    diffusion_training: DiffusionTraining = field(default_factory=DiffusionTraining)
    notes: dict[str, str] = field(default_factory=dict)


def preset_names() -> list[str]:
    """Names of the presets beside the code."""
    return sorted(file.stem for file in PRESETS.glob("*.json"))


def load_preset(name: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a preset, and change values of it.

    Args:
        name: a preset's name, or a JSON file of the same form.
        changes: ``key=value`` each, such as ``diffusion_training.schedule.steps=10``.

    Raises:
        InputError: there is no such preset, a key is unknown or a value is of the wrong type.
    """
    data = dataclasses.asdict(Recipe()) | {"preset": Path(name).stem}
    for step in _lineage(name):
        _merge(data, step, "", name)
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--set {change!r} has no value. Write --set key=value, e.g. --set seed=1.")
        *parents, last = key.split(".")
        nested: dict[str, Any] = {last: _value(value)}
        for parent in reversed(parents):
            nested = {parent: nested}
        _merge(data, nested, "", f"--set {change}")
    return _checked(build_config(Recipe, _plain(data), f"preset {name}"))


def read_recipe(file: Path) -> Recipe:
    """Read the whole recipe of a run folder, also of one that version 0.1.0 began.

    Raises:
        InputError: it cannot be read, or asks for what is no longer done.
        ModelError: its keys or the types of its values are not those of a recipe.
    """
    return build_config(Recipe, _read(file), str(file))


def _lineage(name: str, above: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """Read the preset and all that it extends, the most basic first; ``above`` are those that extend this one."""
    file = PRESETS / f"{name}.json"
    if not file.is_file():
        file = Path(name)
        if file.suffix != ".json" or not file.is_file():
            raise InputError(f"There is no preset {name!r}. Use one of {', '.join(preset_names())}, or a .json file.")
    if file.resolve() in above:
        raise InputError(f"The preset {name} extends itself. Let it extend another one, or none.")
    data = _read(file)
    base = data.pop("extends", None)
    return [*(_lineage(base, (*above, file.resolve())) if base else []), data]


def _read(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON ({error}). Correct it.") from None
    if not isinstance(data, dict):
        raise InputError(f"{file} holds no JSON object. Correct it.")
    _drop_former_keys(data, file)
    return data


def _drop_former_keys(data: dict[str, Any], file: Path) -> None:
    """Forget what made no difference; raises InputError where it did."""
    for (part, key), harmless in FORMER_KEYS.items():
        if isinstance(data.get(part), dict) and (value := data[part].pop(key, harmless[0])) not in harmless:
            raise InputError(f"{file}: {part}.{key} is {value!r}, which is no longer done. Train with version 0.1.0.")


def _merge(data: dict[str, Any], changes: Mapping[str, Any], path: str, where: str) -> None:
    """Put changes into nested dictionaries; free-text dictionaries (notes, share) take any key."""
    free = path in ("notes.", "data.share.")
    for key, value in changes.items():
        if key not in data and not free:
            raise InputError(f"{where}: there is no key {path + key!r}. Known here: {', '.join(data)}.")
        if isinstance(data.get(key), dict) and isinstance(value, Mapping):
            _merge(data[key], value, f"{path}{key}.", where)
        else:
            data[key] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(data: Any) -> Any:
    """Turn tuples into lists, as JSON has them."""
    return json.loads(json.dumps(data))


def _checked(recipe: Recipe) -> Recipe:
    """Refuse values of the right type that make no sense."""
    ae, diffusion = recipe.autoencoder_training, recipe.diffusion_training
    choices = {
        "precision": (recipe.precision, ("auto", "fp32", "bf16", "fp16")),
        "store": (recipe.store, ("float32", "float16", "bfloat16")),
        "denoiser.kind": (recipe.denoiser.kind, (RESIDUAL_X0, PAPER)),
        "autoencoder_training.target": (ae.target, ("own", "cect")),
        "autoencoder_training.augmentation": (ae.augmentation, AUGMENTATIONS),
        "autoencoder_training.schedule.keep": (ae.schedule.keep, ("last", "best")),
        "diffusion_training.augmentation": (diffusion.augmentation, AUGMENTATIONS),
        "diffusion_training.mask_formula": (diffusion.mask_formula, ("structural_first", "literal")),
        "diffusion_training.schedule.keep": (diffusion.schedule.keep, ("last", "best")),
    }
    for key, (value, allowed) in choices.items():
        if value not in allowed:
            raise InputError(f"{key} is {value!r}. Use one of {', '.join(allowed)}.")
    for key, stage in (("autoencoder_training", ae), ("diffusion_training", diffusion)):
        numbers = dataclasses.asdict(stage.schedule)
        for name in ("steps", "batch", "learning_rate", "warmup", "clip", "checkpoint_every", "validate_every"):
            if numbers[name] <= 0:
                raise InputError(f"{key}.schedule.{name} is {numbers[name]}. Give a number above 0.")
    if not 0 <= diffusion.elsewhere_weight <= 1:
        raise InputError(f"diffusion_training.elsewhere_weight is {diffusion.elsewhere_weight}. Give 0 to 1.")
    for name in ("chunk", "chunks", "renew_every"):
        if getattr(diffusion, name) < 1:
            raise InputError(f"diffusion_training.{name} is {getattr(diffusion, name)}. Give 1 or more.")
    if not recipe.phases:
        raise InputError("The recipe has no phases. Name at least one, e.g. --set 'phases=[\"arterial\"]'.")
    return recipe
