"""What a model is measured against: no translation at all, its autoencoder alone, and the best it could do.

All of them pass through the very code that ships (:class:`~S2LDMLib.inference.translation.Translation`,
``postprocess``); only the latent that the sampler would give is another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
from S2LDMLib.inference.devices import CPU_TILE_BYTES, Plan, choose_device, choose_dtype
from S2LDMLib.inference.postprocess import postprocess
from S2LDMLib.inference.preprocess import Prepared
from S2LDMLib.inference.translation import Translation
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import ProgressReporter
from torch import Tensor


class _AutoencoderOnly(Translation):
    """D(Q(z_n)): the sampler hands back the latent of the NCCT."""

    def sample(self, z_n: Tensor, phase: int, steps: int, seed: int) -> Tensor:
        return z_n


class _Ceiling(Translation):
    """D(Q(z_c)): the sampler knows the CECT, normalised [1, 1, Z, Y, X]."""

    cect: Tensor

    def sample(self, z_n: Tensor, phase: int, steps: int, seed: int) -> Tensor:
        return self.encode(self.cect)


def autoencoder_only(pipeline: S2LDMPipeline, ncct: sitk.Image, report: ProgressReporter) -> sitk.Image:
    """Make the translation of the autoencoder without a denoiser, D(Q(z_n)), whatever the model's detail.

    A decoder that makes a CECT of any latent (the paper's) translates; one that gives back what was encoded
    (``residual_decode``) only reconstructs the NCCT.
    """
    prepared = pipeline.prepare(ncct)
    return _run(_AutoencoderOnly(*_parts(pipeline, report)), pipeline, prepared, "model", ncct)


def ceiling(
    pipeline: S2LDMPipeline, ncct: sitk.Image, cect: sitk.Image, valid: np.ndarray, detail: str,
    report: ProgressReporter,
) -> sitk.Image:  # fmt: skip
    """Make what a perfect denoiser would give: the CECT itself, through encoder and decoder.

    Args:
        ncct, cect: registered images on one grid, HU.
        valid: the voxels (Z, Y, X) that the CECT covers; elsewhere the NCCT stands in for it.
        detail: that of the scored model: ``native`` gives NCCT + D(z_c) - D(z_n), ``model`` gives D(Q(z_c)).
    """
    filled = sitk.GetImageFromArray(np.where(valid, sitk.GetArrayViewFromImage(cect), sitk.GetArrayViewFromImage(ncct)))
    filled.CopyInformation(ncct)
    translation = _Ceiling(*_parts(pipeline, report))
    translation.cect = pipeline.prepare(filled, patient=ncct).ncct
    return _run(translation, pipeline, pipeline.prepare(ncct), detail, ncct)


def _parts(pipeline: S2LDMPipeline, report: ProgressReporter) -> tuple[Any, ...]:
    """Return what a translation is made of, with tiles of bounded memory, which are exact and so change no result."""
    device = choose_device(pipeline.device)
    plan = Plan(device, choose_dtype(pipeline.dtype, device), CPU_TILE_BYTES)
    return pipeline.config, pipeline.autoencoder, pipeline.denoiser, pipeline.scheduler, plan, report


def _run(
    translation: Translation, pipeline: S2LDMPipeline, prepared: Prepared, detail: str, ncct: sitk.Image
) -> sitk.Image:
    output = translation(prepared.ncct, phase=0, steps=1, seed=0, detail=detail)
    return postprocess(output, prepared, pipeline.config.preprocess, detail, ncct)
