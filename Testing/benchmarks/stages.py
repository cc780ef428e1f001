"""One translation, stage by stage: seconds, floating-point operations, peak memory. Run by scaling.py in a process.

    python Testing/benchmarks/stages.py [--networks demo] [--size 256x256x32] [--steps 1] [--threads N] [--tile-mib N]

Operations are those of the whole volume at once, so that what tiles repeat in their halos counts as time alone.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import statistics
from collections.abc import Callable
from typing import Any

import torch
from machine import matrix_rate, peak_gpu_gb, peak_rss_gb, timed
from networks import Size, load_networks, parse_size
from S2LDMLib.inference.devices import Plan, plans
from S2LDMLib.inference.translation import Translation
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import ProgressReporter
from torch.utils.flop_counter import FlopCounterMode

WARM_UP_SLICES = 8


def main() -> None:
    """Measure one point and print it as JSON."""
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    pipeline = load_networks(args.networks)
    pipeline.device = args.device
    plan = next(plans(args.device, args.dtype))
    if args.tile_mib:
        plan = TiledPlan(plan.device, plan.dtype, args.tile_mib << 20)
    size = parse_size(args.size)
    point: dict[str, Any] = {"size": args.size, "steps": args.steps, "threads": args.threads, "plan": str(plan)}
    point["seconds"] = measure(pipeline, plan, size, args.steps, args.repeats)
    point["rss_gb"], point["gpu_gb"] = peak_rss_gb(), peak_gpu_gb(plan.device)
    rate = matrix_rate(plan.device, plan.dtype)
    point["matrix_flops"] = rate
    point["tflop"] = {stage: n / 1e12 for stage, n in operations(pipeline, size, args.steps).items()}
    point["share_of_matrix"] = {
        stage: point["tflop"][stage] * 1e12 / seconds / rate for stage, seconds in point["seconds"].items()
    }
    print(json.dumps(point))


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="demo")
    parser.add_argument("--size", default="256x256x32")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--tile-mib", type=int, help="memory of a tile; default: what the engine chooses")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args(arguments)


@dataclasses.dataclass(frozen=True)
class TiledPlan(Plan):
    """A plan whose tiles fill their memory, however slow that may be."""

    @property
    def enough_bytes(self) -> int:
        """All of it."""
        return self.tile_bytes


def measure(pipeline: S2LDMPipeline, plan: Plan, size: Size, steps: int, repeats: int) -> dict[str, float]:
    """Median wall seconds of each stage, on seeded random values: time does not depend on them."""
    x, y, z = size
    volume = torch.rand(1, 1, z, y, x, generator=torch.Generator().manual_seed(0))
    run_stages(pipeline, plan, volume[:, :, :WARM_UP_SLICES], steps)
    runs = [run_stages(pipeline, plan, volume, steps) for _ in range(repeats)]
    return {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}


def run_stages(pipeline: S2LDMPipeline, plan: Plan, volume: torch.Tensor, steps: int) -> dict[str, float]:
    """Wall seconds of encode, translate and decode, as :class:`Translation` runs them."""
    parts = pipeline.config, pipeline.autoencoder, pipeline.denoiser, pipeline.scheduler
    translation = Translation(*parts, plan, ProgressReporter())
    detail = "native" if pipeline.config.residual_decode else "model"
    made: dict[str, torch.Tensor] = {}

    def keep(name: str, work: Callable[[], torch.Tensor]) -> float:
        def run() -> None:
            made[name] = work()

        return timed(plan.device, run)[0]

    with torch.inference_mode(), torch.autocast(plan.device.type, plan.dtype, enabled=plan.dtype != torch.float32):
        return {
            "encode": keep("z_n", lambda: translation.encode(volume)),
            "translate": keep("z", lambda: translation.sample(made["z_n"], 0, steps, 0)),
            "decode": keep("image", lambda: translation.decode(made["z"], made["z_n"], detail)),
        }


def operations(pipeline: S2LDMPipeline, size: Size, steps: int) -> dict[str, float]:
    """Floating-point operations of each stage on a volume, counted on PyTorch's meta device.

    The paper's denoiser is counted in one of its windows, since its attention costs the square of a window.
    """
    autoencoder, denoiser = (pipeline.autoencoder, pipeline.denoiser)
    with torch.device("meta"):
        autoencoder = type(autoencoder)(autoencoder.config)
        channels = autoencoder.config.latent_channels
        denoiser = type(denoiser)(denoiser.config, channels, len(pipeline.config.phases))
    volume = torch.zeros(1, 1, *size[::-1], device="meta")
    shape = [n // s for n, s in zip(size[::-1], autoencoder.stride, strict=True)]
    latent, t = torch.zeros(1, channels, *shape, device="meta"), torch.zeros(1, dtype=torch.long, device="meta")
    counts = {"encode": count(lambda: autoencoder.encode(volume))}
    if denoiser.is_tileable:
        counts["translate"] = steps * count(lambda: denoiser(latent, latent, t, t))
    else:
        window = torch.zeros(1, channels, *denoiser.window, device="meta")
        share = math.prod(shape) / math.prod(denoiser.window)
        counts["translate"] = steps * share * count(lambda: denoiser(window, t, t))
    counts["decode"] = (1 + pipeline.config.residual_decode) * count(lambda: autoencoder.decode(latent))
    return counts


def count(work: Callable[[], object]) -> float:
    """Operations of one call; a multiplication and an addition are two."""
    with contextlib.ExitStack() as stack:
        counter = stack.enter_context(FlopCounterMode(display=False))
        stack.enter_context(torch.inference_mode())
        work()
    return float(counter.get_total_flops())


if __name__ == "__main__":
    main()
