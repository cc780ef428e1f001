"""Time, peak memory and enhancement of a translation, from file to file.

    python Testing/benchmarks/translate.py [NCCT] [--rois FILE:SESSION]

Runs the command line in a process of its own per phase, twice, and compares the two files. Without an argument the
sample phantom is translated at 512 x 512 x 48.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from S2LDMLib.model.config import PHASES
from S2LDMLib.phantom.scan import make_phantom


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", nargs="?", help="NCCT volume; a 512 x 512 x 48 phantom if not given")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rois", metavar="FILE:SESSION", help="discs whose mean HU is shown")
    parser.add_argument("--out", type=Path, help="folder that keeps the volumes and pictures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        source = Path(args.input) if args.input else _phantom(folder)
        image = sitk.ReadImage(str(source))
        print(f"{source.name}: {'x'.join(map(str, image.GetSize()))}, {os.cpu_count()} cores, {args.dtype}")
        for phase in PHASES:
            files = [folder / f"{phase}{suffix}.nrrd" for suffix in ("", "_again")]
            runs = [_translate(source, file, phase, args) for file in files]
            same = files[0].read_bytes() == files[1].read_bytes()
            seconds = " and ".join(f"{wall:.1f}" for wall, _ in runs)
            peak = max(memory for _, memory in runs)
            print(f"{phase}: {seconds} s, peak {peak:.2f} GB, files {'identical' if same else 'DIFFERENT'}")
            if args.rois:
                _show_rois(args.rois, image, sitk.ReadImage(str(files[0])), phase)
    return 0


def _phantom(folder: Path) -> Path:
    file = folder / "phantom.nrrd"
    sitk.WriteImage(make_phantom(0, (512, 512, 48), (0.82, 0.82, 5.0)).ncct, str(file), useCompression=True)
    return file


def _translate(source: Path, out: Path, phase: str, args: argparse.Namespace) -> tuple[float, float]:
    """Wall seconds and peak resident memory (GB) of the whole process, start-up and files included."""
    command = [sys.executable, "-m", "S2LDMLib", "translate", str(source), str(out), "--phase", phase, "--overwrite"]
    options = ["--model", args.model, "--dtype", args.dtype, "--progress", "none", "--preview", out.with_suffix(".png")]
    start = time.monotonic()
    process = subprocess.Popen([*command, *map(str, options)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    unit = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - start, _peak(usage, unit)


def _peak(usage: resource.struct_rusage, unit: int) -> float:
    return usage.ru_maxrss * unit / 1e9


def disc_mean(image: sitk.Image, centre_lps: list[float], radius: float) -> float:
    """Mean HU of an axial disc, as the discs of rois.json were measured."""
    x, y, z = image.TransformPhysicalPointToIndex(centre_lps)
    plane = sitk.GetArrayFromImage(image[:, :, z])
    rows, columns = np.indices(plane.shape)
    sx, sy, _ = image.GetSpacing()
    return float(plane[((columns - x) * sx) ** 2 + ((rows - y) * sy) ** 2 <= radius**2].mean())


def _show_rois(rois: str, before: sitk.Image, after: sitk.Image, phase: str) -> None:
    file, session = rois.rsplit(":", 1)
    for organ, discs in json.loads(Path(file).read_text())[session].items():
        for disc in discs:
            values = [disc_mean(image, disc["center_lps_mm"], disc["radius_mm"]) for image in (before, after)]
            real = disc["measured_hu"].get(phase)
            print(f"  {organ:8s} NCCT {values[0]:5.0f} HU, synthetic {phase} {values[1]:5.0f} HU, real {real} HU")


if __name__ == "__main__":
    sys.exit(main())
