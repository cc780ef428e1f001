"""One contender in a process of its own, told what to do by lines on standard input.

    python Testing/benchmarks/contestant.py NAME INPUT.npy [OPTIONS]

It loads, warms up on a corner of the volume, and answers ``ready``. Each ``run`` is answered by a JSON object of wall
and CPU seconds and the peak memory so far; ``save FILE`` writes the last result (HU). It ends with its input.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from contenders import CONTENDERS, Triple, prepare
from machine import peak_gpu_gb, peak_rss_gb, timed
from networks import load_networks
from S2LDMLib.inference.devices import choose_device

SMALLEST = 64  # voxels


def main() -> None:
    """Answer until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("input", type=Path)
    parser.add_argument("--networks", default="demo")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--window", type=int, nargs=3, default=(48, 256, 256), metavar=("Z", "Y", "X"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipeline, device = load_networks(args.networks), choose_device(args.device)
    pipeline.device = args.device
    run = prepare(args.name, pipeline, args.steps, tuple(args.window))
    ncct = torch.from_numpy(np.load(args.input))[None, None]
    run(_corner(ncct, tuple(args.window)))
    print("ready", flush=True)
    made = np.empty(0)
    for line in sys.stdin:
        order, *file = line.split(maxsplit=1)
        if order == "save":
            np.save(file[0].strip(), made)
            print("saved", flush=True)
            continue

        def work() -> None:
            nonlocal made
            made = run(ncct)

        wall, cpu = timed(device, work)
        answer = {"seconds": wall, "cpu_seconds": cpu, "rss_gb": peak_rss_gb(), "gpu_gb": peak_gpu_gb(device)}
        print(json.dumps(answer), flush=True)


def _corner(ncct: torch.Tensor, window: Triple) -> torch.Tensor:
    """A quarter of a window, enough to load code and kernels, and not too small for the deepest level."""
    wanted = (window[0] // 4, max(SMALLEST, window[1] // 2), max(SMALLEST, window[2] // 2))
    z, y, x = (min(n, w) for n, w in zip(ncct.shape[2:], wanted, strict=True))
    return ncct[:, :, :z, :y, :x].contiguous()


if __name__ == "__main__":
    main()
