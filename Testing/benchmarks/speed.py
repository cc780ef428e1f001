"""How fast the engine is against what people would use instead, on the same work; ratios taken in one run.

    python Testing/benchmarks/speed.py [--size 512x512x48 ...] [--repeats N] [--json FILE]

Every contender (contenders.py) is one process with the same weights, noise schedule, steps, first noise, threads, input
and output grid. After a warm-up they run in turn, A B A B, and medians are compared. Beside each time stand the peak
memory of its process and the difference of its result from ours in fp32.

What it leaves out: reading, checking, cutting the patient out, resampling and writing, which no contender has. All get
the whole field of view, air and all, on its own grid; in use ours cuts the air away first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contenders import CONTENDERS
from machine import describe, tell
from networks import Size, load_networks, parse_size, phantom_ncct, save_network_input
from S2LDMLib.inference.devices import choose_device, choose_dtype

SIZES = ("256x256x64", "512x512x48", "512x512x160")
REFERENCE, SHIPPED = "ours_fp32", "ours_shipped"
DEFAULT = (REFERENCE, SHIPPED, "windows_gaussian", "windows_constant", "windows_planar", "maisi", "maisi_planar")
RATIOS = {
    "contender1_over_ours_fp32": ("windows_gaussian", REFERENCE),
    "contender1_constant_over_ours_fp32": ("windows_constant", REFERENCE),
    "contender1_over_ours_shipped": ("windows_gaussian", SHIPPED),
    "contender1_bf16_over_ours_shipped": ("windows_bf16", SHIPPED),
    "contender1_planar_over_ours_fp32": ("windows_planar", REFERENCE),
    "contender1_planar_over_ours_shipped": ("windows_planar", SHIPPED),
    "contender2_planar_over_ours_shipped": ("maisi_planar", SHIPPED),
    "contender2_over_ours_fp32": ("maisi", REFERENCE),
    "contender2_over_ours_shipped": ("maisi", SHIPPED),
    "contender2_default_over_ours_shipped": ("maisi_default", SHIPPED),
    "contender2_bf16_over_ours_shipped": ("maisi_bf16", SHIPPED),
}


class Contestant:
    """The process of one contender."""

    def __init__(self, name: str, volume: Path, args: argparse.Namespace) -> None:
        self.name = name
        command = [sys.executable, str(Path(__file__).with_name("contestant.py")), name, str(volume)]
        options = ["--networks", args.networks, "--steps", args.steps, "--threads", args.threads]
        options += ["--device", args.device, "--window", *args.window]
        environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
        self.process = subprocess.Popen(
            [*command, *map(str, options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answer()

    def run(self) -> dict[str, Any]:
        """One translation: seconds, cpu_seconds, rss_gb, gpu_gb."""
        return json.loads(self._ask("run"))

    def result(self, file: Path) -> np.ndarray:
        """HU of the last translation, (Z, Y, X)."""
        self._ask(f"save {file}")
        return np.load(file, mmap_mode="r")

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()

    def _ask(self, order: str) -> str:
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with exit code {self.process.wait()}.")
        return line


def measure(volume: Path, names: list[str], args: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Run all contenders on one volume in turn: medians, peak memory, difference from ours in fp32."""
    contestants = [Contestant(name, volume, args) for name in names]
    try:
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(args.repeats):
            for contestant in contestants:
                runs[contestant.name].append(contestant.run())
        made = {contestant.name: contestant.result(folder / f"{contestant.name}.npy") for contestant in contestants}
    finally:
        for contestant in contestants:
            contestant.close()
    return {name: summary(runs[name], made[name], made.get(REFERENCE)) for name in names}


def summary(runs: list[dict[str, Any]], made: np.ndarray, reference: np.ndarray | None) -> dict[str, Any]:
    """Medians of the runs, and the difference in HU from the reference, slice by slice to spare memory."""
    wall = [run["seconds"] for run in runs]
    entry = {
        "seconds": statistics.median(wall), "seconds_range": [min(wall), max(wall)],
        "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
        "rss_gb": max(run["rss_gb"] for run in runs), "gpu_gb": runs[-1]["gpu_gb"],
    }  # fmt: skip
    if reference is not None:
        each = [np.abs(ours - theirs) for ours, theirs in zip(made, reference, strict=True)]
        entry["mean_difference_hu"] = float(np.mean([plane.mean() for plane in each]))
        entry["max_difference_hu"] = float(max(plane.max() for plane in each))
    return entry


def ratios(entries: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Median time of a contender over ours, for those that ran."""
    return {
        key: entries[theirs]["seconds"] / entries[ours]["seconds"]
        for key, (theirs, ours) in RATIOS.items() if theirs in entries and ours in entries
    }  # fmt: skip


def show(size: Size, entries: dict[str, dict[str, Any]], precision: str) -> None:
    """The table of one size."""
    print(f"\n{'x'.join(map(str, size))}; 'as shipped' is {precision} here")
    print(f"{'':<40}{'median s':>9}{'(range)':>16}{'CPU s':>8}{'peak GB':>9}{'GPU GB':>8}{'from ours fp32, HU':>22}")
    for name, entry in entries.items():
        low, high = entry["seconds_range"]
        gpu = "-" if entry["gpu_gb"] is None else f"{entry['gpu_gb']:.2f}"
        apart = f"mean {entry['mean_difference_hu']:.3f} max {entry['max_difference_hu']:.1f}"
        print(
            f"{CONTENDERS[name].title:<40}{entry['seconds']:>9.2f}{f'{low:.2f}-{high:.2f}':>16}"
            f"{entry['cpu_seconds']:>8.1f}{entry['rss_gb']:>9.2f}{gpu:>8}{apart:>22}"
        )
    for key, value in ratios(entries).items():
        print(f"  {key:<40}{value:6.2f}")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=SIZES, metavar="XxYxZ")
    parser.add_argument("--networks", default="demo", help="demo, paper_scale or a preset of the trainer")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=DEFAULT, metavar="NAME")
    parser.add_argument("--steps", type=int, default=4, help="a divisor of 1000, for MONAI's scheduler")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--window", type=int, nargs=3, default=(48, 256, 256), metavar=("Z", "Y", "X"),
                        help="windows of MONAI's inferer: the paper's training crop")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure all sizes, print the tables and one JSON object; its ratios are those of the last size."""
    args = parse_arguments(arguments)
    device = choose_device(args.device)
    precision = str(choose_dtype("auto", device)).removeprefix("torch.")
    names = [REFERENCE, *(name for name in args.contenders if name != REFERENCE)]
    report: dict[str, Any] = {"machine": describe(device, args.threads), "networks": args.networks}
    report |= {"steps": args.steps, "precision_shipped": precision, "sizes": {}}
    print(f"{report['machine']}\n{args.networks} networks, {args.steps} steps, {args.repeats} runs in turn")
    print("Left out: reading, checks, cutting the patient out, resampling, writing. Nobody cuts the air away here.")
    for text in args.size:
        size = parse_size(text)
        with tempfile.TemporaryDirectory() as temporary:
            volume = Path(temporary) / "volume.npy"
            save_network_input(phantom_ncct(size), load_networks(args.networks).config.preprocess, volume)
            entries = measure(volume, names, args, Path(temporary))
        show(size, entries, precision)
        report["sizes"][text] = {"contenders": entries, "ratios": ratios(entries)}
        report |= ratios(entries)
    shipped = [size["contenders"][SHIPPED] for size in report["sizes"].values() if SHIPPED in size["contenders"]]
    if shipped:
        report["peak_rss_gb"] = max(entry["rss_gb"] for entry in shipped)
        report["max_abs_difference_hu"] = max(entry["max_difference_hu"] for entry in shipped)
    tell(report, args.json)
    return report


if __name__ == "__main__":
    main()
