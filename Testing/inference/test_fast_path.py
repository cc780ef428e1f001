"""The guard of quality: what makes the engine fast costs less than 0.5 HU on average, and less than 0.05 dB."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from dicom_maker import hu
from S2LDMLib.inference.devices import Plan
from S2LDMLib.inference.postprocess import postprocess
from S2LDMLib.inference.translation import Translation
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import ProgressReporter

ONE_TILE = 1 << 40


def whole_volume_fp32(pipeline: S2LDMPipeline, image: sitk.Image, steps: int) -> sitk.Image:
    """The reference: fp32, the whole volume in one tile."""
    prepared = pipeline.prepare(image)
    plan = Plan(torch.device("cpu"), torch.float32, ONE_TILE)
    parts = pipeline.config, pipeline.autoencoder, pipeline.denoiser, pipeline.scheduler
    output = Translation(*parts, plan, ProgressReporter())(prepared.ncct, 0, steps, 0, "native")
    return postprocess(output, prepared, pipeline.config.preprocess, "native", image)


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """At window 400, level 0, over the whole volume, dB."""
    error = np.clip(made, -200, 200) - np.clip(truth, -200, 200)
    return 20 * np.log10(400) - 10 * np.log10(np.mean(error**2))


@pytest.mark.parametrize("steps", [1, 4])
def test_the_fast_path_equals_the_fp32_reference(bundled: S2LDMPipeline, phantom: PhantomTriple, steps: int) -> None:
    """As shipped where the processor has bfloat16: halo tiles, planes and bfloat16 at once."""
    quick = dataclasses.replace(bundled, dtype="bfloat16")
    fast = hu(quick(phantom.ncct, "arterial", steps=steps))
    reference = hu(whole_volume_fp32(bundled, phantom.ncct, steps))
    body = hu(phantom.ncct) > -300
    assert np.abs(fast - reference)[body].mean() <= 0.5
    truth = hu(phantom.arterial)
    assert abs(psnr(fast, truth) - psnr(reference, truth)) <= 0.05


def test_the_fast_path_equals_the_fp32_reference_on_a_real_scan(bundled: S2LDMPipeline, real_ncct: sitk.Image) -> None:
    image = real_ncct[:, :, 14:19]
    quick = dataclasses.replace(bundled, dtype="bfloat16")
    apart = np.abs(hu(quick(image, "arterial")) - hu(whole_volume_fp32(bundled, image, 1)))
    assert apart[hu(image) > -300].mean() <= 0.5
