"""The learning rate over the steps, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..recipe import Schedule

FLOOR = 0.01  # of the highest rate, at the end


def learning_rate(step: int, schedule: Schedule) -> float:
    """The rate at a step: a linear warm-up, then half a cosine down to one hundredth of the highest rate."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / schedule.steps)))
    return schedule.learning_rate * min(1.0, (step + 1) / schedule.warmup) * ((1 - FLOOR) * cosine + FLOOR)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the averaged weights towards the model's, faster at first so that the start is forgotten; copy buffers."""
    weight = 1 - min(decay, (step + 1) / (step + 10))
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, weight)
    for held, current in zip(average.buffers(), model.buffers(), strict=True):
        held.copy_(current)
