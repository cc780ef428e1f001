"""The translation end to end: what the bundled model does, and with a small one what does not depend on weights."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from dicom_maker import hu
from hub_samples import hub_for_client
from S2LDMLib.errors import Cancelled, InputError, S2LDMError, S2LDMWarning
from S2LDMLib.inference.devices import Plan
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.inference.translation import Translation
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig, ModelConfig, PreprocessConfig, SchedulerConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.denoiser import LatentDenoiser
from S2LDMLib.networks.paper_denoiser import PaperDenoiser
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.phantom.tissues import LABELS
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import Progress, ProgressReporter
from S2LDMLib.volume.grid import Grid


def oblique(image: sitk.Image) -> sitk.Image:
    result = sitk.Flip(image, [True, False, True])
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.2, -0.1, 0.3)
    result.SetDirection((np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(result.GetDirection(), (3, 3))).ravel())
    return result


@pytest.mark.parametrize("phase", ["arterial", "venous"])
def test_contrast_goes_where_contrast_goes(bundled: S2LDMPipeline, phantom: PhantomTriple, phase: str) -> None:
    """Aorta and renal cortex brighten; muscle, fat and bone stay."""
    change = hu(bundled(phantom.ncct, phase)) - hu(phantom.ncct)
    labels = sitk.GetArrayFromImage(phantom.labels)
    mean = {name: change[labels == value].mean() for name, value in LABELS.items() if (labels == value).any()}
    assert mean["aorta"] > {"arterial": 150, "venous": 50}[phase]
    assert mean["kidney_cortex"] > 60
    for name in ("muscle", "fat", "bone"):
        # The real muscle of the training patients gains 13 HU in the venous phase.
        assert abs(mean[name]) < 20, name


@pytest.mark.parametrize("detail", ["native", "model"])
def test_geometry_is_that_of_the_input(small: S2LDMPipeline, phantom: PhantomTriple, detail: str) -> None:
    image = oblique(sitk.RegionOfInterest(phantom.ncct, (197, 165, 11), (1, 2, 0)))
    before = hu(image)
    made = small(image, "venous", detail=detail)
    assert made.GetPixelID() == sitk.sitkInt16 and Grid.of(made) == Grid.of(image)
    assert np.array_equal(hu(image), before)


def test_orientation_does_not_change_the_result(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    """The same patient stored in another axis order gets the same enhancement."""
    plain = small(phantom.ncct, "arterial")
    turned = sitk.DICOMOrient(small(sitk.DICOMOrient(phantom.ncct, "PIR"), "arterial"), "LPS")
    assert np.array_equal(hu(plain), hu(turned))


def test_air_around_the_patient_changes_nothing(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    plain = hu(small(phantom.ncct, "arterial"))
    wide = sitk.ConstantPad(phantom.ncct, [19, 33, 2], [40, 5, 1], -1024)
    made = hu(small(wide, "arterial"))[2:-1, 33:-5, 19:-40]
    assert np.array_equal(plain, made)


def test_cutting_the_scan_changes_little_far_from_the_cut(bundled: S2LDMPipeline, real_ncct: sitk.Image) -> None:
    """Fewer slices, odd slices at the other end, half of the patient: what is left is translated as before."""
    patient = real_ncct[:, :, 10:26]
    whole = hu(bundled(patient, "arterial"))
    reach = bundled.denoiser.reach()[0] + 2 * bundled.autoencoder.encoder_halo()[0]
    for kept in (slice(0, 11), slice(5, 16)):
        fewer = hu(bundled(patient[:, :, kept], "arterial"))
        inner = slice(kept.start + reach * (kept.start > 0), kept.stop - reach * (kept.stop < 16))
        difference = fewer[inner.start - kept.start : inner.stop - kept.start] - whole[inner]
        assert np.abs(difference).mean() < 0.1
    half = hu(bundled(patient[:128, :, :], "arterial"))
    assert np.abs(half[:, :, :96] - whole[:, :, :96]).mean() < 0.5


def test_small_tiles_give_the_result_of_the_whole_volume(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    prepared = small.prepare(phantom.ncct)

    def run(tile_bytes: int, detail: str) -> np.ndarray:
        plan = Plan(torch.device("cpu"), torch.float32, tile_bytes)
        parts = (small.config, small.autoencoder, small.denoiser, small.scheduler)
        return Translation(*parts, plan, ProgressReporter())(prepared.ncct, 0, 1, 0, detail)

    for detail in ("native", "model"):
        whole, tiled = run(1 << 40, detail), run(1 << 21, detail)
        assert np.linalg.norm(whole - tiled) / np.linalg.norm(whole) <= 1e-5


def test_same_seed_same_result_and_seeds_differ(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    first, again, other = (hu(small(phantom.ncct, "arterial", steps=2, seed=seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_step_needs_no_seed(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    assert np.array_equal(*(hu(small(phantom.ncct, "venous", seed=seed)) for seed in (0, 1)))


def test_bfloat16_stays_close(bundled: S2LDMPipeline, phantom: PhantomTriple) -> None:
    quick = dataclasses.replace(bundled, dtype="bfloat16")
    difference = hu(quick(phantom.ncct, "arterial")) - hu(bundled(phantom.ncct, "arterial"))
    assert np.abs(difference).mean() < 1.0


def test_progress_rises_to_one_through_all_stages(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    seen: list[Progress] = []
    small(phantom.ncct, "arterial", steps=2, on_progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == pytest.approx(1)
    assert list(dict.fromkeys(p.stage for p in seen)) == ["preprocess", "encode", "translate", "decode", "postprocess"]
    assert seen[-1].remaining == pytest.approx(0, abs=1e-6)


def test_cancelling_ends_the_run_between_two_tiles(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        small(phantom.ncct, "arterial", on_progress=seen.append, should_cancel=lambda: len(seen) >= 3)
    assert len(seen) == 3


@pytest.mark.parametrize(("arguments", "message"), [
    ({"phase": "delayed"}, "no phase 'delayed'.*arterial, venous"),
    ({"phase": "arterial", "steps": 0}, "0 sampling steps"),
    ({"phase": "arterial", "detail": "sharp"}, "detail 'sharp'"),
])  # fmt: skip
def test_bad_arguments_are_refused_at_once(
    small: S2LDMPipeline, phantom: PhantomTriple, arguments: dict[str, object], message: str
) -> None:
    seen: list[Progress] = []
    with pytest.raises(InputError, match=message):
        small(phantom.ncct, on_progress=seen.append, **arguments)
    assert not seen


@pytest.mark.parametrize(("field", "value", "message"), [
    ("device", "cuda:99", "device 'cuda:99' is not available"),
    ("device", "toaster", "device 'toaster' is not available"),
    ("dtype", "int4", "precision 'int4' is unknown"),
])  # fmt: skip
def test_unknown_devices_and_precisions_are_refused(
    small: S2LDMPipeline, phantom: PhantomTriple, field: str, value: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(small, **{field: value})(phantom.ncct, "arterial")


def test_provenance_says_synthetic_and_names_the_model(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    made = small(phantom.ncct, "venous", steps=2, seed=4)
    metadata = {key: made.GetMetaData(key) for key in made.GetMetaDataKeys()}
    assert metadata["description"].startswith("SYNTHETIC venous CECT")
    assert metadata["S2LDM_revision"] == small.source.revision
    assert (metadata["S2LDM_model"], metadata["S2LDM_steps"], metadata["S2LDM_seed"]) == ("small", "2", "4")


class LittleMemory(LatentDenoiser):
    """Runs out of memory in its first calls, as a card of little memory does."""

    failures = 0

    def forward(self, *args: object, **kwargs: object) -> torch.Tensor:
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory (for this test)")
        return super().forward(*args, **kwargs)


def with_little_memory(small: S2LDMPipeline, failures: int) -> S2LDMPipeline:
    denoiser = LittleMemory(small.denoiser.config, 4, 2).eval()
    denoiser.load_state_dict(small.denoiser.state_dict())
    denoiser.failures = failures
    return dataclasses.replace(small, denoiser=denoiser)


def test_smaller_tiles_follow_when_memory_runs_out(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    with pytest.warns(S2LDMWarning, match="Memory ran out; trying again with cpu, float32, tiles of 512 MiB"):
        made = with_little_memory(small, 1)(phantom.ncct, "arterial")
    assert np.abs(hu(made) - hu(small(phantom.ncct, "arterial"))).max() <= 1


def test_too_little_memory_for_any_tile_is_an_error(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(S2LDMError, match="smallest tiles"):
            with_little_memory(small, 100)(phantom.ncct, "arterial")


def test_a_saved_pipeline_is_loaded_as_it_was(small: S2LDMPipeline, phantom: PhantomTriple, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path / "model")
    again = S2LDMPipeline.from_pretrained(tmp_path / "model", device="cpu", dtype="float32")
    assert again.config == small.config
    assert np.array_equal(hu(again(phantom.ncct, "arterial")), hu(small(phantom.ncct, "arterial")))


def test_a_pushed_pipeline_is_loaded_from_the_hub(
    bundled: S2LDMPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_for_client(monkeypatch, tmp_path):
        monkeypatch.setenv("HF_TOKEN", "hf_valid")
        commit = bundled.push_to_hub("lab/mine")
        again = S2LDMPipeline.from_pretrained("hf://lab/mine", revision=commit, device="cpu")
    assert again.source.revision == commit
    for ours, theirs in zip(bundled.denoiser.parameters(), again.denoiser.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def paper_pipeline() -> S2LDMPipeline:
    """The paper's mode, untrained: window 400/0, volumetric strides, codebook, noise prediction in windows."""
    torch.manual_seed(0)
    autoencoder = SyncreticAutoencoder(AutoencoderConfig((4, 8), ((2, 2, 2), (2, 2, 2)), 3, 1, 4, 32))
    denoiser = PaperDenoiser(DenoiserConfig("paper", (8, 16), window=(4, 16, 16)), 4, 1)
    config = ModelConfig(phases=("venous",), preprocess=PreprocessConfig(spacing=(3.0, 3.0, 5.0)))
    scheduler = LatentScheduler(SchedulerConfig(prediction="epsilon", zero_terminal_snr=False, steps=2))
    return S2LDMPipeline(config, autoencoder.eval(), denoiser.eval(), scheduler, device="cpu", dtype="float32")


def test_the_papers_mode_runs_from_file_to_file(phantom: PhantomTriple, tmp_path: Path) -> None:
    paper_pipeline().save_pretrained(tmp_path)
    pipeline = S2LDMPipeline.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert isinstance(pipeline.denoiser, PaperDenoiser)
    first, again, other = (hu(pipeline(phantom.ncct, "venous", detail="model", seed=s)) for s in (1, 1, 2))
    assert first.shape == hu(phantom.ncct).shape
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    with pytest.raises(InputError, match="no phase 'arterial'"):
        pipeline(phantom.ncct, "arterial")
