"""What a benchmark says about the machine it runs on: threads, memory, and the rate of its own matrix product."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss


def peak_rss_gb(usage: resource.struct_rusage | None = None) -> float:
    """Largest resident memory of a process in GB (1e9 bytes), of this one if no usage is given."""
    return (usage or resource.getrusage(resource.RUSAGE_SELF)).ru_maxrss * _RSS_UNIT / 1e9


def peak_gpu_gb(device: torch.device) -> float | None:
    """Largest GPU memory that PyTorch had allocated in this process, GB; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None


def timed(device: torch.device, work: Callable[[], object]) -> tuple[float, float]:
    """Wall and process CPU seconds of one call, to the end of what it left running on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def matrix_rate(device: torch.device, dtype: torch.dtype, n: int = 2048) -> float:
    """FLOP/s of a square matrix product, the median of six after a warm-up."""
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    spent = [timed(device, lambda: a @ b)[0] for _ in range(8)]
    return 2 * n**3 / statistics.median(spent[2:])


def describe(device: torch.device, threads: int) -> str:
    """One line: processor or GPU, threads, versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return f"{name}, {threads} threads of {os.cpu_count()} cores, torch {torch.__version__}, {platform.system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def tell(report: dict[str, Any], file: Path | None) -> None:
    """Print a report as one JSON object on the last line, and write it where a file is given."""
    text = json.dumps(report)
    if file:
        file.write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
