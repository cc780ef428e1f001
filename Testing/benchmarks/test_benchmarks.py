"""The benchmarks do what they claim: MONAI's own inferers, the same work, and all figures are there."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from S2LDMLib.pipeline import S2LDMPipeline

pytest.importorskip("resource", reason="the benchmarks measure memory as Unix does")
import contenders
import monai.inferers
import scaling
import speed
import stages
import startup

SHAPE = (6, 64, 96)
WINDOW = (6, 64, 64)


@pytest.fixture(scope="module")
def volume() -> torch.Tensor:
    return torch.rand(1, 1, *SHAPE, generator=torch.Generator().manual_seed(1))


def run(name: str, pipeline: S2LDMPipeline, volume: torch.Tensor, steps: int = 1, window=WINDOW) -> np.ndarray:
    return contenders.prepare(name, dataclasses.replace(pipeline), steps, window)(volume)


@pytest.mark.parametrize("steps", [1, 2, 4, 10])
def test_monais_scheduler_makes_our_steps(bundled: S2LDMPipeline, steps: int) -> None:
    theirs, ours = contenders.monai_scheduler(bundled, steps), bundled.scheduler
    times = ours.timesteps(steps)
    assert theirs.timesteps.tolist() == times
    torch.manual_seed(0)
    x, x0 = torch.randn(2, 1, 8, 2, 4, 4)
    for t, previous in zip(times, [*times[1:], None], strict=True):
        assert torch.allclose(theirs.step(x0, t, x)[0], ours.step(x0, x, t, previous), atol=1e-5)


def test_a_schedule_that_monai_cannot_step_is_refused(bundled: S2LDMPipeline) -> None:
    with pytest.raises(ValueError, match="3 steps"):
        contenders.monai_scheduler(bundled, 3)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("name", ["windows_gaussian", "windows_constant", "windows_planar", "maisi", "maisi_default"])
def test_a_contender_with_one_window_gives_our_result(
    bundled: S2LDMPipeline, volume: torch.Tensor, name: str, steps: int
) -> None:
    """Same weights, schedule, first noise, work and units: nothing but the windows tells them apart."""
    ours, theirs = (run(each, bundled, volume, steps, window=SHAPE) for each in ("ours_fp32", name))
    assert ours.shape == SHAPE and np.abs(ours).max() > 1
    assert np.abs(ours - theirs).max() < 0.02


def test_windows_give_our_result_deep_inside_a_window_and_not_at_its_edge(
    small: S2LDMPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along x, what one window alone sees to beyond the receptive field is the whole volume's."""
    reach = small._reach()[2]
    width = 8 * (-(-(2 * reach + 16) // 8))
    volume = torch.rand(1, 1, 2, 32, 2 * width, generator=torch.Generator().manual_seed(2))
    ours = run("ours_fp32", small, volume)
    windows = run("windows_constant", small, volume, window=(2, 32, width))
    apart = np.abs(ours - windows).max((0, 1))
    assert apart[: width // 2].max() < 0.02
    assert apart.max() > 0.02


def test_whole_latent_diffusion_differs_at_the_decoders_windows_alone(
    small: S2LDMPipeline, volume: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dataclasses.replace(contenders.CONTENDERS["maisi"], decode=((6, 16, 12), 0.25))
    monkeypatch.setitem(contenders.CONTENDERS, "few", few)
    apart = np.abs(run("ours_fp32", small, volume, 2) - run("few", small, volume, 2)).max((0, 1))
    first_overlap = 4 * 9  # windows of 12 latent voxels start at 0, 9 and 12
    assert apart[: first_overlap - 4 * small.autoencoder.decoder_halo()[2]].max(initial=0) < 0.02
    assert apart.max() > 0.02


def test_the_contenders_run_monais_own_inferers(
    small: S2LDMPipeline, volume: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert contenders.SlidingWindowInferer is monai.inferers.SlidingWindowInferer
    calls = {"windows": 0, "sample": 0}
    for cls, method, name in (
        (monai.inferers.SlidingWindowInferer, "__call__", "windows"),
        (monai.inferers.LatentDiffusionInferer, "sample", "sample"),
    ):
        original = getattr(cls, method)

        def counted(self, *args, original=original, name=name, **kwargs):
            calls[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(cls, method, counted)
    run("windows_gaussian", small, volume)
    assert calls == {"windows": 1, "sample": 2}  # 96 columns in windows of 64, overlap 0.25
    run("maisi", small, volume)
    assert calls == {"windows": 3, "sample": 2}


def test_the_windows_are_the_defaults_that_they_are_called() -> None:
    inferer = contenders._inferer(WINDOW, 0.25, "gaussian", torch.device("cpu"))
    default = monai.inferers.SlidingWindowInferer(WINDOW)
    assert (inferer.overlap, inferer.sw_batch_size) == (default.overlap, default.sw_batch_size)
    assert contenders.CONTENDERS["windows_constant"].mode == default.mode


def test_medians_ratios_and_differences_are_what_they_are_called() -> None:
    def runs(*seconds: float) -> list[dict[str, object]]:
        return [{"seconds": s, "cpu_seconds": 2 * s, "rss_gb": s, "gpu_gb": None} for s in seconds]

    reference = np.zeros((2, 3, 3))
    made = reference.copy()
    made[1, 2, 0] = -9
    entries = {
        "ours_fp32": speed.summary(runs(2, 1, 9), reference, reference),
        "windows_gaussian": speed.summary(runs(6, 8, 5), made, reference),
    }
    assert entries["windows_gaussian"]["max_difference_hu"] == 9
    assert entries["windows_gaussian"]["mean_difference_hu"] == 0.5
    assert entries["ours_fp32"]["seconds_range"] == [1, 9] and entries["ours_fp32"]["rss_gb"] == 9
    assert speed.ratios(entries) == {"contender1_over_ours_fp32": 3}


def test_operations_grow_with_slices_and_steps(bundled: S2LDMPipeline) -> None:
    one, two = (stages.operations(bundled, (64, 64, n), steps=n) for n in (1, 2))
    assert two["encode"] == 2 * one["encode"]
    assert two["translate"] == pytest.approx(4 * one["translate"], rel=0.01)  # but for the embedding
    # The decoder mirrors the encoder, and runs on z and on z_n.
    assert one["decode"] == 2 * one["encode"] > 0
    first = 2 * 48 * 4 * 4 * 32 * 32  # of the encoder: 1 to 48 channels, kernel 4, stride 2
    assert first < one["encode"] < 1000 * first


@pytest.mark.slow
def test_speed_at_toy_size(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    options = {"--size": "64x64x8", "--window": "8 32 32", "--steps": "1", "--repeats": "1", "--threads": "1"}
    arguments = [word for option, value in options.items() for word in (option, *value.split())]
    script = Path(speed.__file__)
    command = [sys.executable, script, *arguments, "--json", file]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(file.read_text())
    assert json.loads(made.stdout.splitlines()[-1]) == report
    wanted = {"contender1_over_ours_fp32", "contender1_over_ours_shipped", "contender2_over_ours_shipped"}
    assert wanted | {"peak_rss_gb", "max_abs_difference_hu"} <= set(report)
    entries = report["sizes"]["64x64x8"]["contenders"]
    assert set(entries) == set(speed.DEFAULT)
    assert entries["maisi"]["max_difference_hu"] < 0.02  # one window
    assert entries["windows_constant"]["max_difference_hu"] > 0.02  # seams
    assert all(entry["seconds"] > 0 and 0.1 < entry["rss_gb"] < 4 for entry in entries.values())


@pytest.mark.slow
def test_scaling_at_toy_size(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--size", "64x64x8", "64x64x16", "--steps", "1", "--tile-mib", "8", "--threads", "1", "--repeats", "1"]
    report = scaling.main(arguments)
    assert [each["size"] for each in report["sizes"]] == ["64x64x8", "64x64x16"]
    for each in report["sizes"]:
        assert set(each["seconds"]) == set(scaling.STAGES)
        assert all(share > 0 for share in each["share_of_matrix"].values())


@pytest.mark.slow
def test_startup_imports_no_monai() -> None:
    report = startup.main(["--repeats", "1"])
    assert 0 < report["first_event_s"] < report["whole_run_s"]
    assert "torch" in report["imports_s"] and "monai" not in report["imports_s"]
