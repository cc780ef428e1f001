"""The translation, end to end: a pipeline of preprocessing, autoencoder, denoiser, sampler and postprocessing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from .about import __version__
from .errors import InputError, ModelError, S2LDMError, S2LDMWarning
from .guard.input_checks import check_input
from .inference.devices import is_out_of_memory, plans
from .inference.postprocess import postprocess
from .inference.preprocess import Prepared, preprocess
from .inference.scheduler import LatentScheduler
from .inference.translation import Translation
from .inference.uncertainty import mean_and_deviation
from .model.config import (
    FORMAT_VERSION,
    AutoencoderConfig,
    DenoiserConfig,
    ModelConfig,
    SchedulerConfig,
    smallest_input,
)
from .model.config_files import load_config, save_config
from .model.hub import ModelSource, resolve_model
from .model.layout import check_format
from .model.upload import push_to_hub
from .model.weights import load_weights, save_weights
from .networks.autoencoder import SyncreticAutoencoder
from .networks.build import build_denoiser
from .networks.denoisers import Denoiser
from .progress import OnProgress, ProgressReporter
from .volume.region import Region

DETAILS = ("native", "model")
SEEDS = (-(2**63), 2**63 - 1)  # what PyTorch takes everywhere


@dataclass
class S2LDMPipeline:
    """Translates an NCCT into a synthetic CECT.

    >>> pipeline = S2LDMPipeline.from_pretrained("bundled")
    >>> synthetic = pipeline(SimpleITK.ReadImage("ncct.nii.gz"), "arterial")

    Source: arXiv 2406.13977; one-step x0-prediction and residual decoding are this project's.
    """

    config: ModelConfig
    autoencoder: SyncreticAutoencoder
    denoiser: Denoiser
    scheduler: LatentScheduler
    source: ModelSource | None = None
    device: str = "auto"
    dtype: str = "auto"

    @classmethod
    def from_pretrained(
        cls, model: str | Path, revision: str | None = None, local_files_only: bool = False,
        device: str = "auto", dtype: str = "auto", on_progress: Callable[[float, str], None] | None = None,
    ) -> S2LDMPipeline:  # fmt: skip
        """Load a model from a folder, the Hub (``hf://owner/name``), or the one that is ``bundled``.

        Args:
            revision: branch, tag or commit of a Hub repository.
            local_files_only: never touch the network.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
            dtype: ``auto``, ``float32``, ``bfloat16``, ``float16``.
            on_progress: called with the fraction of a download and the file's name.

        Raises:
            ModelError: see :func:`~S2LDMLib.model.hub.resolve_model` and :func:`~S2LDMLib.model.weights.load_weights`.
        """
        source = resolve_model(model, revision, local_files_only, on_progress)
        folder = source.folder
        config = load_config(ModelConfig, folder / "config.json")
        autoencoder = SyncreticAutoencoder(load_config(AutoencoderConfig, folder / "autoencoder" / "config.json"))
        denoiser_config = load_config(DenoiserConfig, folder / "denoiser" / "config.json")
        scheduler = LatentScheduler(load_config(SchedulerConfig, folder / "scheduler" / "config.json"))
        denoiser = build_denoiser(denoiser_config, autoencoder.config.latent_channels, len(config.phases))
        load_weights(autoencoder, folder / "autoencoder" / "model.safetensors")
        load_weights(denoiser, folder / "denoiser" / "model.safetensors")
        return cls(config, autoencoder.eval(), denoiser.eval(), scheduler, source, device, dtype)

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write the model folder; ``dtype`` (e.g. float16) is that of the stored weights."""
        folder = Path(folder)
        for name, module in (("autoencoder", self.autoencoder), ("denoiser", self.denoiser)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            save_config(module.config, folder / name / "config.json")
            save_weights(module, folder / name / "model.safetensors", dtype)
        (folder / "scheduler").mkdir(exist_ok=True)
        save_config(self.scheduler.config, folder / "scheduler" / "config.json")
        save_config(replace(self.config, format_version=FORMAT_VERSION), folder / "config.json")
        check_format(folder)
        return folder

    def push_to_hub(self, repo_id: str, private: bool = True, commit_message: str = "Upload S2LDM model") -> str:
        """Upload the model folder that this pipeline was loaded from; returns the commit's address."""
        if self.source is None:
            raise ModelError("Save the pipeline with save_pretrained and load it again before it is pushed.")
        return push_to_hub(self.source.folder, repo_id, private, commit_message)

    def __call__(
        self, image: sitk.Image, phase: str, *, steps: int | None = None, seed: int = 0, detail: str | None = None,
        region: Region | None = None, on_progress: OnProgress | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> sitk.Image:  # fmt: skip
        """Translate one volume.

        Args:
            image: 3D NCCT in HU; any orientation, spacing and scalar pixel type. It is not changed.
            phase: one of the model's phases.
            steps: sampling steps; None for the model's own number.
            seed: of the noise; one step of a ``residual_x0`` denoiser does not depend on it.
            detail: ``native`` adds the decoded enhancement to the NCCT; ``model`` gives the decoded CECT itself; None
                for ``native`` where the model can.
            region: translate only this part, with the same result there as without it (a model of the paper's kind:
                nearly the same); the input's own values elsewhere. None for the whole volume.
            on_progress: called with a :class:`~S2LDMLib.progress.Progress`.
            should_cancel: asked between tiles; True ends the run with :class:`~S2LDMLib.errors.Cancelled`.

        Returns:
            int16 HU on the input's own grid, with how it was made as metadata (:meth:`provenance`).

        Raises:
            InputError: the volume or an argument cannot be used; raised before any heavy work.
            Cancelled: ``should_cancel`` said so.
        """
        steps = self.scheduler.config.steps if steps is None else steps
        detail = detail or ("native" if self.config.residual_decode else "model")
        self.check_arguments(phase, steps, detail, seed)
        report = ProgressReporter(on_progress, should_cancel)
        report.report("preprocess", 0, 1)
        checked = check_input(image, smallest_input(self.autoencoder.config, self.denoiser.config))
        for warning in checked.warnings:
            warnings.warn(warning, S2LDMWarning, stacklevel=2)
        prepared = self.prepare(image, region=region)
        report.report("preprocess", 1, 1)
        output_hu = self._run(prepared, self.config.phases.index(phase), steps, seed, detail, report)
        result = postprocess(output_hu, prepared, self.config.preprocess, detail, image)
        for key, value in (self.provenance(phase, steps, seed, detail) | checked.provenance()).items():
            result.SetMetaData(key, value)
        if region is not None:
            result.SetMetaData("S2LDM_region", str(region))
        report.report("postprocess", 1, 1)
        return result

    def samples(
        self, image: sitk.Image, phase: str, count: int, *, seed: int = 0, on_progress: OnProgress | None = None,
        **options: Any,
    ) -> tuple[sitk.Image, sitk.Image]:  # fmt: skip
        """Mean and standard deviation of several translations, with the seeds ``seed`` to ``seed + count - 1``.

        Args:
            options: the other arguments of a translation, see :meth:`__call__`.

        Returns:
            See :func:`~S2LDMLib.inference.uncertainty.mean_and_deviation`.

        Raises:
            InputError: see :meth:`check_samples` and :meth:`__call__`.
        """
        self.check_samples(count, options.get("steps"))

        def translate(seed: int, on_progress: OnProgress | None) -> sitk.Image:
            return self(image, phase, seed=seed, on_progress=on_progress, **options)

        return mean_and_deviation(translate, count, seed, on_progress)

    def check_samples(self, count: int, steps: int | None) -> None:
        """Raises InputError where several samples would all be the same, or ``count`` is no number of samples."""
        steps = self.scheduler.config.steps if steps is None else steps
        if count < 2:
            raise InputError(f"{count} samples have no spread. Use 2 or more.")
        if not self.denoiser.config.depends_on_seed(steps):
            raise InputError(
                "With one sampling step this model gives the same result for every seed, so samples have no spread. "
                "Use 2 or more steps."
            )

    def prepare(self, image: sitk.Image, patient: sitk.Image | None = None, region: Region | None = None) -> Prepared:
        """What the networks see of a volume; arguments as in :func:`~S2LDMLib.inference.preprocess.preprocess`."""
        z, y, x = (s * m for s, m in zip(self.autoencoder.stride, self.denoiser.multiple, strict=True))
        return preprocess(image, self.config.preprocess, (z, y, x), patient, region, self._reach())

    def provenance(self, phase: str, steps: int, seed: int, detail: str) -> dict[str, str]:
        """How a result was made, as ASCII header entries; ``description`` says first that it is synthetic."""
        model, revision = (self.source.model_id, self.source.revision) if self.source else (self.config.name, "unsaved")
        return {
            "description": f"SYNTHETIC {phase} CECT by S2LDM {__version__}; not a real scan",
            "S2LDM_model": Path(model).name if Path(model).is_absolute() else model,
            "S2LDM_revision": revision,
            "S2LDM_phase": phase,
            "S2LDM_steps": str(steps),
            "S2LDM_seed": str(seed),
            "S2LDM_detail": detail,
            "S2LDM_version": __version__,
        }

    def check_arguments(self, phase: str, steps: int, detail: str, seed: int = 0) -> None:
        """Raises InputError where the model cannot run so, or the device is not there; costs nothing."""
        if phase not in self.config.phases:
            raise InputError(f"The model has no phase {phase!r}. Use one of: {', '.join(self.config.phases)}.")
        if detail not in DETAILS:
            raise InputError(f"The detail {detail!r} is unknown. Use one of: {', '.join(DETAILS)}.")
        if detail == "native" and not self.config.residual_decode:
            raise InputError("This model's decoder makes a CECT of whatever it is given. Use the detail 'model'.")
        most = round(self.scheduler.config.start * self.scheduler.config.train_timesteps)
        if not 1 <= steps <= most:
            raise InputError(f"{steps} sampling steps are impossible. Use 1 to {most}.")
        if not SEEDS[0] <= seed <= SEEDS[1]:
            raise InputError(f"The seed {seed} is out of range. Use {SEEDS[0]} to {SEEDS[1]}.")
        next(plans(self.device, self.dtype))  # refuses an unknown device or precision

    def _reach(self) -> tuple[int, int, int]:
        """Working voxels (z, y, x) around a voxel on which its result depends."""
        halos = zip(
            self.autoencoder.encoder_halo(), self.denoiser.reach(), self.autoencoder.decoder_halo(), strict=True
        )
        z, y, x = (s * sum(halo) for s, halo in zip(self.autoencoder.stride, halos, strict=True))
        return z, y, x

    def _run(
        self, prepared: Prepared, phase: int, steps: int, seed: int, detail: str, report: ProgressReporter
    ) -> np.ndarray:
        """Try the plans in turn until one has memory enough."""
        failure: BaseException | None = None
        for plan in plans(self.device, self.dtype):
            if failure is not None:
                warnings.warn(f"Memory ran out; trying again with {plan}.", S2LDMWarning, stacklevel=3)
            try:
                run = Translation(self.config, self.autoencoder, self.denoiser, self.scheduler, plan, report)
                return run(prepared.ncct, phase, steps, seed, detail)
            except S2LDMError:
                raise
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failure = error.with_traceback(None)
            if plan.device.type == "cuda":
                torch.cuda.empty_cache()
        raise S2LDMError("Memory ran out even with the smallest tiles. Close other programs, or crop the volume.")
