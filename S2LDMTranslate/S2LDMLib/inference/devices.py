"""Which device and precision a translation runs on, how large its tiles are, and what to try when memory runs out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..errors import InputError
from ..networks.triple import Triple, triple

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CPU_TILE_BYTES = 2 << 30
GPU_TILE_BYTES = 3 << 30  # larger tiles are no faster
# Measured: beyond it a tile leaves the caches, and the C library gives its memory back and zeroes it anew each time,
# which made a network of few channels up to three times slower; far below it, calls cost more than they compute.
CPU_ENOUGH_BYTES = 48 << 20
LITTLE_MORE_WORK = 1.05


@dataclass(frozen=True)
class Plan:
    """One way to run: device, precision, and the activation memory in bytes that a tile may take."""

    device: torch.device
    dtype: torch.dtype
    tile_bytes: int

    @property
    def enough_bytes(self) -> int:
        """Activation memory above which a tile gains nothing, but for the halo that it repeats less often."""
        return self.tile_bytes * CPU_ENOUGH_BYTES // CPU_TILE_BYTES if self.device.type == "cpu" else self.tile_bytes

    def __str__(self) -> str:
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}, tiles of {self.tile_bytes >> 20} MiB"


def choose_device(name: str) -> torch.device:
    """The device of a name; ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        InputError: the device is unknown or not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"The device {name!r} is not available here. Use --device auto, or cpu.") from None
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of a name; ``auto`` takes bfloat16 where the hardware computes in it, else float32.

    Raises:
        InputError: the precision is unknown.
    """
    if name != "auto":
        if name not in DTYPES:
            raise InputError(f"The precision {name!r} is unknown. Use auto or one of {', '.join(DTYPES)}.")
        return DTYPES[name]
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    else:
        has_bfloat16 = False
    return torch.bfloat16 if has_bfloat16 else torch.float32


def plans(device: str, dtype: str) -> Iterator[Plan]:
    """What to try in turn: the device, then smaller tiles, then the CPU.

    Raises:
        InputError: the device is unknown or not there, or the precision is unknown.
    """
    chosen = choose_device(device)
    precision = choose_dtype(dtype, chosen)
    budget = CPU_TILE_BYTES
    if chosen.type == "cuda":
        free, _ = torch.cuda.mem_get_info(chosen)
        budget = min(GPU_TILE_BYTES, max(free // 4, 128 << 20))
    for divisor in (1, 4, 16):
        yield Plan(chosen, precision, budget // divisor)
    if chosen.type != "cpu":
        cpu = torch.device("cpu")
        yield Plan(cpu, choose_dtype(dtype, cpu), CPU_TILE_BYTES)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says so: CUDA raises a class of its own, the CPU's allocator and MPS a RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def choose_tile(
    shape: Triple, halo: Triple, multiple: Triple, bytes_per_latent: int, budget: int, enough: int | None = None
) -> Triple:
    """Choose a tile (z, y, x) in latent voxels that repeats little work in its halos and is no larger than it need be.

    Of the tiles whose activations, halo included, stay within the budget, those are taken that do hardly more work than
    the best, and of these the one that comes closest to ``enough`` bytes (the budget if not given). Where even tiles as
    small as their halo are over the budget, the smallest of them is taken.
    """
    axes = [_tile_sizes(n, h, m) for n, h, m in zip(shape, halo, multiple, strict=True)]
    costs: dict[Triple, tuple[float, int]] = {}
    for tile in map(triple, itertools.product(*axes)):
        work, largest = zip(*(axis[size] for axis, size in zip(axes, tile, strict=True)), strict=True)
        costs[tile] = math.prod(work), bytes_per_latent * math.prod(largest)
    fitting = {tile: cost for tile, cost in costs.items() if cost[1] <= budget}
    if not fitting:
        return min(costs, key=lambda tile: costs[tile][1])
    least = min(work for work, _ in fitting.values())
    good = [tile for tile, (work, _) in fitting.items() if work <= LITTLE_MORE_WORK * least]
    return min(good, key=lambda tile: abs(math.log(costs[tile][1] / (enough or budget))))


def _tile_sizes(n: int, halo: int, multiple: int) -> dict[int, tuple[float, int]]:
    """Sizes that cut an axis evenly into 1, 2, 3, ... parts, none smaller than the halo.

    For each, how many times the axis is read in all, and the voxels of the longest read, halo included.
    """
    sizes = {min(n, -(-n // (parts * multiple)) * multiple) for parts in range(1, n + 1)}
    found = {}
    for size in sorted(size for size in sizes if size >= min(n, halo)):
        reads = [min(start + size + halo, n) - max(start - halo, 0) for start in range(0, n, size)]
        found[size] = sum(reads) / n, max(reads)
    return found
