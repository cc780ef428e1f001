"""What both training stages share: the learning-rate schedule, the average of the weights, the progress line."""

from __future__ import annotations

import math
import time

import torch
from torch import nn


def learning_rate(step: int, steps: int, peak: float, warmup: int = 40) -> float:
    """Linear warm-up, then half a cosine down to one hundredth of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * min(1.0, (step + 1) / warmup) * (0.99 * cosine + 0.01)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float = 0.995) -> None:
    """Exponential moving average of the weights, short at first so that the start is forgotten."""
    weight = 1 - min(decay, (step + 1) / (step + 10))
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, weight)


class Log:
    """Prints smoothed values with elapsed and remaining time every ``every`` steps."""

    def __init__(self, name: str, steps: int, every: int = 25) -> None:
        self.name, self.steps, self.every = name, steps, every
        self.start = time.monotonic()
        self.values: dict[str, float] = {}

    def add(self, step: int, **values: float) -> None:
        for key, value in values.items():
            if not math.isfinite(value):
                raise FloatingPointError(f"{self.name}: {key} is {value} at step {step}; lower the learning rate")
            self.values[key] = 0.97 * self.values.get(key, value) + 0.03 * value
        if (step + 1) % self.every == 0 or step + 1 == self.steps:
            spent = time.monotonic() - self.start
            left = spent / (step + 1) * (self.steps - step - 1)
            shown = "  ".join(f"{key} {value:.4f}" for key, value in self.values.items())
            print(f"{self.name} {step + 1}/{self.steps}  {shown}  {spent:.0f} s, {left:.0f} s left", flush=True)
