"""The machine that a run trains on: one process or many, through Hugging Face accelerate.

A step's batch is cut into samples numbered 0 to batch - 1 (slots). Each process takes a contiguous part of them and
may work through it in several passes (gradient accumulation); the gradient is always the mean over the whole batch.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import GradientAccumulationPlugin, gather_object
from S2LDMLib.errors import InputError, S2LDMError, one_line
from S2LDMLib.inference.devices import choose_dtype
from torch import Tensor, nn

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
MOST_SKIPPED = 5
LOWER = (
    "Go on with --resume and a lower learning rate (--set ...schedule.learning_rate=...), or with --set precision=fp32 "
    "in a new folder."
)
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
# How a launcher, or mpirun, tells a process that it is one of several.
OF_A_LAUNCHER = (
    "WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU", "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE", "MV2_COMM_WORLD_SIZE",
)  # fmt: skip


class TrainingError(S2LDMError):
    """Training cannot go on as it is: the message says what to change."""


class NotFinite(TrainingError):
    """The loss is NaN or infinite; the weights of this step are not to be kept."""


class Machine:
    """Processes, device and precision.

    A method that is called collective waits for all processes: every one of them must call it, in the same order. A
    call that one of them leaves out hangs the run.

    Attributes:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        accumulate: passes that a process makes over its part of a batch.
        half_done: whether a step has begun to change weights and has not ended; a checkpoint must not be taken then.
        skipped: steps without effect because their gradient was not finite.
    """

    def __init__(self, device: str, precision: str, accumulate: int) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise InputError(f"The device {device!r} is unknown. Use auto, cpu or cuda.")
        if accumulate < 1:
            raise InputError(f"--accumulate is {accumulate}. Give the number of passes over a batch, 1 or more.")
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("No CUDA device is available here. Use --device auto, or cpu.")
        cpu = device == "cpu" or not torch.cuda.is_available()
        if precision == "auto":
            precision = NAMES[choose_dtype("auto", torch.device("cpu" if cpu else "cuda"))]
        if precision == "fp16" and cpu:
            raise InputError("fp16 needs a GPU. Use --set precision=bf16 or fp32.")
        # Buffers are kept equal by reductions; a broadcast before each pass would only cost time.
        handler = DistributedDataParallelKwargs(broadcast_buffers=False)
        with _own_settings():
            self.accelerator = Accelerator(
                cpu=cpu, mixed_precision=PRECISIONS[precision], kwargs_handlers=[handler],
                gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),  # a batch is divided in passes()
            )  # fmt: skip
        self.precision, self.accumulate, self.half_done = precision, accumulate, False
        self.skipped = self.skipped_in_a_row = 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.accelerator.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.accelerator.is_main_process

    @property
    def processes(self) -> int:
        """The number of processes, on all machines together."""
        return self.accelerator.num_processes

    def check_batch(self, batch: int, stage: str) -> None:
        """Refuse a batch that cannot be divided evenly, by InputError."""
        parts = self.processes * self.accumulate
        if batch % parts:
            raise InputError(
                f"The {stage}'s batch of {batch} cannot be divided over {self.processes} processes times "
                f"{self.accumulate} passes. Make it a multiple of {parts}: --set {stage}_training.schedule.batch=..."
            )

    def slots(self, batch: int) -> range:
        """This process's samples of a batch."""
        each = batch // self.processes
        first = self.accelerator.process_index * each
        return range(first, first + each)

    def passes(self, samples: Sequence[Any]) -> list[Sequence[Any]]:
        """Cut the samples of this process for gradient accumulation."""
        each = len(samples) // self.accumulate
        return [samples[i : i + each] for i in range(0, len(samples), each)]

    def optimizer_step(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, losses: Sequence[Callable[[], Tensor]], clip: float
    ) -> None:
        """Take one step on the mean of the losses of all passes and processes. A collective call.

        Args:
            network: as ``accelerator.prepare`` returned it.
            losses: one function a pass; the graph of one is freed before the next is built.

        Raises:
            NotFinite: nothing has been changed.
        """
        optimizer.zero_grad()
        for index, loss_of in enumerate(losses):
            last = index == len(losses) - 1
            with nullcontext() if last else self.accelerator.no_sync(network):
                loss = loss_of() / len(losses)
                self._check_finite(loss)
                self.accelerator.backward(loss)
        self.accelerator.unscale_gradients(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        if self.accelerator.scaler is None and not norm.isfinite():  # a scaler skips such a step by itself
            self._skip(norm)
            return
        self.skipped_in_a_row = 0
        self.half_done = True
        optimizer.step()

    def _skip(self, norm: Tensor) -> None:
        """A single overflow of bf16 is left out; a row of them is not going to end."""
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row > MOST_SKIPPED:
            raise NotFinite(f"The gradient became {norm.item()} in {MOST_SKIPPED + 1} steps in a row. {LOWER}")

    def _check_finite(self, loss: Tensor) -> None:
        """Refuse a loss that is no number in any of the processes. A collective call."""
        value = self.accelerator.reduce(loss.detach().float(), "sum").item()
        if not math.isfinite(value):
            raise NotFinite(f"The loss became {value}. {LOWER}")

    def agree(self, values: dict[str, float], stop: bool) -> tuple[dict[str, float], bool]:
        """Average values over the processes; tell whether any of them was asked to stop. A collective call."""
        packed = torch.tensor([*values.values(), float(stop)], dtype=torch.float64, device=self._float64_device())
        *means, asked = self.accelerator.reduce(packed, "mean").tolist()
        return dict(zip(values, means, strict=True)), asked > 0

    def wait(self) -> None:
        """Wait until all processes are here. A collective call."""
        self.accelerator.wait_for_everyone()

    def _float64_device(self) -> torch.device:
        return torch.device("cpu") if self.device.type == "mps" else self.device

    def gather(self, items: list[Any]) -> list[Any]:
        """Give every process what all of them hold. A collective call."""
        return gather_object(items) if self.processes > 1 else items


@contextmanager
def _own_settings() -> Iterator[None]:
    """Hide what the environment says to accelerate: recipe, data and seed alone decide what a run gives.

    Raises:
        InputError: the environment says half of what several processes need, as one that a launcher has left over does.
    """
    hidden = {k: v for k, v in os.environ.items() if k.startswith("ACCELERATE_") and k not in OF_A_LAUNCHER}
    for name in hidden:
        del os.environ[name]
    said = ", ".join(f"{name}={os.environ[name]}" for name in OF_A_LAUNCHER if name in os.environ)
    try:
        yield
    except ValueError as error:
        if not said:
            raise
        raise InputError(
            f"The environment speaks of several processes ({said}), and they cannot meet ({one_line(error)}). Unset "
            "these variables, or start the training with 'accelerate launch' or 'torchrun'."
        ) from error
    finally:
        os.environ.update(hidden)


def explain_failure(error: BaseException, where: str) -> TrainingError | None:
    """Find a clear message for what a machine does to a run; None where it is something else."""
    text = str(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in text.lower():
        return TrainingError(
            f"Memory ran out {where}. Go on with --resume and more passes (--accumulate 2 or more), fewer workers, or "
            "start with a smaller batch or crop."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return TrainingError(f"The disk is full {where} ({error}). Free some space, then go on with --resume.")
    lost = (
        "Connection closed by peer",
        "Connection reset by peer",
        "Broken pipe",
        "NCCL",
        "Socket Timeout",
        "timed out",
    )
    if isinstance(error, RuntimeError) and "DataLoader worker" in text:
        return TrainingError(f"A worker that reads data was lost {where}. Go on with --resume; use fewer data.workers.")
    if isinstance(error, RuntimeError) and any(sign in text for sign in lost):
        return TrainingError(f"Another process of this run was lost {where}. Start all of them again with --resume.")
    return None
