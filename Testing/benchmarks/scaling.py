"""How time and memory grow with the volume, the steps, the threads and the tile; and how far the limit is.

    python Testing/benchmarks/scaling.py [--networks demo] [--size 256x256x16 ...] [--json FILE]

Each point is a process of its own (stages.py). One thing is changed at a time. Beside the seconds of each stage stands
its rate as a share of this machine's own matrix product in the same precision.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import describe, tell
from networks import parse_size
from S2LDMLib.inference.devices import choose_device

SIZES = ("256x256x16", "256x256x32", "256x256x64", "512x512x48", "512x512x160")
STAGES = ("encode", "translate", "decode")


def point(args: argparse.Namespace, **options: object) -> dict[str, Any]:
    """One measurement in a process of its own; options as stages.py has them."""
    command = [sys.executable, str(Path(__file__).with_name("stages.py")), "--networks", args.networks]
    options = {"device": args.device, "repeats": args.repeats, "threads": args.threads, "dtype": args.dtype} | options
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options["threads"])}
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {run.returncode}.")
    return json.loads(run.stdout.splitlines()[-1])


def show(title: str, key: str, points: list[dict[str, Any]]) -> None:
    """A table: one line a point."""
    print(f"\n{title}")
    head = "".join(f"{stage + ' s':>13}{'of matmul':>11}" for stage in STAGES)
    print(f"{key:>14}{head}{'all s':>9}{'us/voxel':>10}{'peak GB':>9}{'GPU GB':>8}")
    for each in points:
        x, y, z = parse_size(each["size"])
        cells = "".join(f"{each['seconds'][s]:>13.2f}{each['share_of_matrix'][s]:>11.0%}" for s in STAGES)
        total = sum(each["seconds"].values())
        gpu = "-" if each["gpu_gb"] is None else f"{each['gpu_gb']:.2f}"
        print(f"{each[key]!s:>14}{cells}{total:>9.2f}{total / (x * y * z) * 1e6:>10.3f}{each['rss_gb']:>9.2f}{gpu:>8}")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="demo", help="demo, paper_scale or a preset of the trainer")
    parser.add_argument("--size", nargs="+", default=SIZES, metavar="XxYxZ")
    parser.add_argument("--steps", type=int, nargs="*", default=(1, 2, 4), help="at the first size but one")
    parser.add_argument("--tile-mib", type=int, nargs="*", default=(8, 16, 32, 64, 128, 256), metavar="MIB")
    parser.add_argument("--threads", type=int, default=cores, help="and 1, 2, 4, ... up to it")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print the tables and one JSON object."""
    args = parse_arguments(arguments)
    report: dict[str, Any] = {"machine": describe(choose_device(args.device), args.threads), "networks": args.networks}
    print(report["machine"])
    base = args.size[min(1, len(args.size) - 1)]
    report["sizes"] = [point(args, size=size) for size in args.size]
    show(f"volume ({args.networks}, 1 step)", "size", report["sizes"])
    print(f"matrix product: {report['sizes'][0]['matrix_flops'] / 1e12:.3f} TFLOP/s ({report['sizes'][0]['plan']})")
    report["steps"] = [point(args, size=base, steps=steps) for steps in args.steps]
    show(f"steps ({base})", "steps", report["steps"])
    threads = sorted({min(2**k, args.threads) for k in range(args.threads.bit_length() + 1)})
    if args.device == "cpu" and len(threads) > 1:
        report["threads"] = [point(args, size=base, threads=n) for n in threads]
        show(f"threads ({base})", "threads", report["threads"])
    report["tiles"] = [{**point(args, size=base, tile_mib=mib), "tile MiB": mib} for mib in args.tile_mib]
    show(f"memory of a tile ({base})", "tile MiB", report["tiles"])
    tell(report, args.json)
    return report


if __name__ == "__main__":
    main()
