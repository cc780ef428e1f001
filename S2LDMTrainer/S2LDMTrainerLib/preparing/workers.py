"""Runs tasks side by side in processes, cancellable at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

import SimpleITK as sitk
from S2LDMLib.errors import Cancelled

POLL_S = 0.2

Task = TypeVar("Task")


class Workers:
    """A pool of processes of one thread each; leave the block to end it, tasks under way included."""

    def __init__(self, jobs: int, should_cancel: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._should_cancel = should_cancel
        self._before = set(multiprocessing.active_children())
        # Spawned, because a fork of a process with threads can hang.
        self._pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=error is None, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - self._before:
            process.terminate()
            process.join()

    def run(
        self, function: Callable[..., Any], tasks: Sequence[tuple[Task, tuple[Any, ...]]]
    ) -> Iterator[tuple[Task, Future[Any]]]:
        """Call ``function(*arguments)`` for each (task, arguments); yields task and finished future as they end.

        Raises:
            Cancelled: the user asked to stop; what had ended was yielded.
        """
        running = {self._pool.submit(function, *arguments): task for task, arguments in tasks}
        while running:
            done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future
            if self._should_cancel():
                raise Cancelled("Cancelled; finished cases are kept. Run the same command again to go on.")


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends the workers
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the parent does: a parent that was killed cannot end its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
