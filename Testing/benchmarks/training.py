"""Time, arithmetic and memory of training steps, and an estimate for machines that are not at hand.

    python Testing/benchmarks/training.py PREPARED --preset demo
    python Testing/benchmarks/training.py --estimate --preset paper

Measured: steps as the trainer runs them, data and all, against the rate of this machine's own matrix product in the
same precision. Estimated: parameters, AdamW's state, the tensors that one pass keeps for its gradient, and
floating-point operations, from the shapes alone (PyTorch's meta device), for one sample.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from S2LDMLib.model.config import RESIDUAL_X0
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.build import build_denoiser
from S2LDMTrainerLib.method.syncretic_step import SyncreticStep
from S2LDMTrainerLib.recipe import Recipe, load_preset
from S2LDMTrainerLib.training.autoencoder_stage import AutoencoderStage
from S2LDMTrainerLib.training.diffusion_stage import DiffusionStage
from S2LDMTrainerLib.training.journal import Journal
from S2LDMTrainerLib.training.machine import Machine
from S2LDMTrainerLib.training.run_folder import RunFolder
from S2LDMTrainerLib.training.train import choose_cases
from S2LDMTrainerLib.training.validation import Validator
from torch.utils.flop_counter import FlopCounterMode

GIB = 1 << 30
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared", nargs="?", type=Path)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--set", dest="changes", action="append", default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--estimate", action="store_true")
    args = parser.parse_args()
    recipe = load_preset(args.preset, args.changes)
    if args.estimate:
        estimate(recipe)
    else:
        measure(recipe, args.prepared, args.device, args.steps)


def measure(recipe: Recipe, prepared: Path, device: str, steps: int) -> None:
    """Median step of both stages."""
    data, machine = choose_cases(prepared, recipe, ()), Machine(device, recipe.precision, 1)
    journal = Journal(RunFolder(Path(tempfile.mkdtemp())), "none", False)
    first = AutoencoderStage(recipe, data.train, [], machine)
    validator = Validator(recipe, [], machine, journal)
    second = DiffusionStage(recipe, data.train, first.average, machine, validator)
    peak = matrix_rate(machine)
    threads = torch.get_num_threads()
    print(f"{machine.device}, {machine.precision}, {threads} threads; matrix product {peak:.3f} TFLOP/s")
    for stage in (first, second):
        if not stage.optimizers:
            continue
        stage.begin(0)
        for step in range(WARM_UP):
            stage.train_step(step)
        spent = [timed(machine, lambda n=n, s=stage: s.train_step(n)) for n in range(WARM_UP, WARM_UP + steps)]
        with FlopCounterMode(display=False) as counter:
            stage.train_step(WARM_UP + steps)
        seconds, operations = statistics.median(spent), counter.get_total_flops() / 1e12
        print(
            f"{stage.name}: {seconds:.3f} s a step (of {min(spent):.3f} to {max(spent):.3f}), {operations:.3f} TFLOP, "
            f"{operations / seconds:.3f} TFLOP/s, {operations / seconds / peak:.0%} of the matrix product; "
            f"peak memory {peak_memory(machine):.2f} GiB"
        )


def timed(machine: Machine, work: Callable[[], object]) -> float:
    if machine.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if machine.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matrix_rate(machine: Machine, n: int = 2048) -> float:
    """TFLOP/s of a square matrix product in the precision of the training."""
    a, b = (torch.randn(n, n, device=machine.device, dtype=DTYPES[machine.precision]) for _ in range(2))
    spent = [timed(machine, lambda: a @ b) for _ in range(8)]
    return 2 * n**3 / statistics.median(spent[2:]) / 1e12


def peak_memory(machine: Machine) -> float:
    """GiB: of the GPU, or of the process."""
    if machine.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def estimate(recipe: Recipe) -> None:
    """What one sample of either stage asks for, from the shapes alone."""
    dtype = DTYPES.get(recipe.precision, torch.bfloat16)
    print(f"{recipe.name}: one sample, {str(dtype).removeprefix('torch.')}, by shape alone")
    with torch.device("meta"):
        own = dataclasses.replace(recipe.autoencoder_training, hf_amount=0.0)  # a filter that needs real numbers
        step = SyncreticStep(SyncreticAutoencoder(recipe.autoencoder), own)
        x = torch.zeros(1, 1, *recipe.autoencoder_training.crop)
        report("autoencoder", step, dtype, lambda: step.weighted(step(x, x, torch.ones_like(x), False).losses))
        denoiser = build_denoiser(recipe.denoiser, recipe.autoencoder.latent_channels, len(recipe.phases))
        stride, crop = step.autoencoder.stride, recipe.diffusion_training.crop
        z, t = [n // s for n, s in zip(crop, stride, strict=True)], torch.zeros(1, dtype=torch.long)
        z[0] += 2 * denoiser.context
        latent = torch.zeros(1, recipe.autoencoder.latent_channels, *z)
        inputs = (latent, latent, t, t) if recipe.denoiser.kind == RESIDUAL_X0 else (latent, t, t)
        report("denoiser", denoiser, dtype, lambda: denoiser(*inputs).square().mean())


def report(name: str, module: torch.nn.Module, dtype: torch.dtype, loss: Callable[[], torch.Tensor]) -> None:
    parameters = sum(p.numel() for p in module.parameters())
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        alive.append(tensor)
        return tensor

    alive: list[torch.Tensor] = []
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        loss().backward()
    scale = torch.finfo(dtype).bits / 32
    activations = (sum(kept.values()) - 4 * parameters) * scale / GIB
    state = 5 * 4 * parameters / GIB  # weights, gradients, two moments, average; fp32
    print(
        f"  {name}: {parameters / 1e6:.1f} M parameters, {state:.2f} GiB of weights and optimizer, "
        f"{activations:.1f} GiB kept for the gradient, {counter.get_total_flops() / 1e12:.1f} TFLOP"
    )


if __name__ == "__main__":
    main()
