"""Which device and precision a translation runs on, how large its tiles are, and what to try when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .errors import InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CPU_TILE_BYTES = 192 << 20


@dataclass(frozen=True)
class Plan:
    """One way to run: device, precision, and the activation memory that a tile may take."""

    device: torch.device
    dtype: torch.dtype
    tile_bytes: int

    def __str__(self) -> str:
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}, tiles of {self.tile_bytes >> 20} MiB"


def choose_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU.

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
    """``auto`` takes bfloat16 where the hardware computes in it, else float32."""
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
    """What to try in turn: the device, then smaller tiles, then the CPU."""
    chosen = choose_device(device)
    precision = choose_dtype(dtype, chosen)
    budget = CPU_TILE_BYTES
    if chosen.type == "cuda":
        free, _ = torch.cuda.mem_get_info(chosen)
        budget = max(CPU_TILE_BYTES, free // 4)
    for divisor in (1, 4, 16):
        yield Plan(chosen, precision, budget // divisor)
    if chosen.type != "cpu":
        cpu = torch.device("cpu")
        yield Plan(cpu, choose_dtype(dtype, cpu), CPU_TILE_BYTES)


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA raises a class of its own; the CPU's allocator and MPS a RuntimeError with a text."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def choose_tile(
    shape: tuple[int, int, int], halo: tuple[int, int, int], multiple: tuple[int, int, int], bytes_per_latent: int,
    budget: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Tile (z, y, x) in latent voxels whose activations, halo included, stay within a budget.

    Whole planes of as many slices as fit, at most 16 so that progress and cancellation come often; where even a few
    whole planes are too large, smaller squares.
    """
    voxels = budget // bytes_per_latent
    fewest, step = max(4, halo[0]), multiple[1]

    def plane(y: int, x: int) -> int:
        """Voxels of one plane of a tile with its halo, which ends where the volume does."""
        return min(y + 2 * halo[1], shape[1]) * min(x + 2 * halo[2], shape[2])

    def half(n: int) -> int:
        return max(step, -(-(n // 2) // step) * step)

    y, x = shape[1:]
    while (fewest + 2 * halo[0]) * plane(y, x) > voxels:
        smaller = (half(y), x) if y >= x else (y, half(x))
        if plane(*smaller) >= plane(y, x):  # all halo: more tiles would only repeat the work
            break
        y, x = smaller
    return min(shape[0], max(fewest, min(16, voxels // plane(y, x) - 2 * halo[0]))), y, x
