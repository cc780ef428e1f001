"""What a user waits for before anything is seen: from the start of the process to its first progress event.

    python Testing/benchmarks/startup.py [--repeats N] [--json FILE]

The command line translates a small volume in a fresh process each time, on a warm disk after a first run. Then
``python -X importtime`` tells which imports cost how much.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from S2LDMLib.phantom.scan import make_phantom

MODULES = ("numpy", "SimpleITK", "torch", "monai", "safetensors", "huggingface_hub")


def first_event(volume: Path, folder: Path) -> tuple[float, float]:
    """Seconds to the first progress event of a translation, and to its end."""
    command = [sys.executable, "-m", "S2LDMLib", "translate", str(volume), str(folder / "out.nrrd")]
    command += ["--phase", "arterial", "--progress", "json", "--overwrite"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        first = time.perf_counter() - start
        process.stdout.read()
    if process.returncode or "stage" not in json.loads(line):
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}.")
    return first, time.perf_counter() - start


def import_seconds() -> dict[str, float]:
    """Seconds that the pipeline's imports take: each named package with what it pulls in first, and all of them."""
    command = [sys.executable, "-X", "importtime", "-c", "import S2LDMLib.pipeline"]
    lines = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True).stderr.splitlines()
    found = {}
    for line in lines:
        _, cumulative, name = line.removeprefix("import time:").split("|")
        if name.strip() in (*MODULES, "S2LDMLib.pipeline"):
            found[name.strip()] = int(cumulative) / 1e6
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and return what is printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        volume = Path(temporary) / "ncct.nrrd"
        sitk.WriteImage(make_phantom(0, (128, 112, 16), (3.0, 3.0, 5.0)).ncct, str(volume))
        first_event(volume, Path(temporary))  # warms the disk
        runs = [first_event(volume, Path(temporary)) for _ in range(args.repeats)]
    report: dict[str, Any] = {
        "first_event_s": statistics.median(first for first, _ in runs),
        "first_event_range_s": [min(first for first, _ in runs), max(first for first, _ in runs)],
        "whole_run_s": statistics.median(whole for _, whole in runs),
        "imports_s": import_seconds(),
    }
    low, high = report["first_event_range_s"]
    print(f"first progress event after {report['first_event_s']:.2f} s ({low:.2f} to {high:.2f})")
    print(f"a translation of 128 x 112 x 16 voxels, start to end: {report['whole_run_s']:.2f} s")
    for name, seconds in sorted(report["imports_s"].items(), key=lambda item: -item[1]):
        print(f"  import {name:<20}{seconds:6.2f} s")
    text = json.dumps(report)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return report


if __name__ == "__main__":
    main()
