"""``Slicer --no-main-window --no-splash --python-script .../S2LDMTrainer.py train DATA RUN ...``: ``s2ldm-train``."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from .packages import PACKAGES
from .run_process import trainer_command, trainer_environment


def run_command_line(arguments: Sequence[str]) -> int:
    """Run the trainer's command line in Slicer's Python with this terminal; returns its exit code.

    Ctrl-C and SIGTERM are handed on to it, so that it can write a checkpoint.
    """
    if missing := PACKAGES.missing():
        print(
            f"s2ldm-train: Slicer's Python lacks {', '.join(missing)}. Press Start in the module S2LDMTrainer once.",
            file=sys.stderr,
        )
    # A session of its own: a terminal's Ctrl-C would reach it a second time beside ours, which means: at once.
    process = subprocess.Popen(trainer_command(arguments), env=trainer_environment(), start_new_session=True)

    def hand_on(number: int, frame: Any) -> None:
        process.send_signal(number)

    previous = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
