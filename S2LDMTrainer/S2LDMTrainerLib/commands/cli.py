"""The command line of the trainer: ``s2ldm-train prepare | train | evaluate | publish``.

Exit codes and errors: see :mod:`S2LDMLib.commands.console`. Each command is a module beside this one with ``HELP``,
``add_arguments(parser)`` and ``run(args, should_cancel)``; importing one loads no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from S2LDMLib.about import __version__
from S2LDMLib.commands.console import add_commands, run_command

COMMANDS = ("prepare", "train", "evaluate", "publish")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run_command(build_parser(), argv)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="s2ldm-train", description="Train, score and publish S2LDM models.")
    parser.add_argument("--version", action="version", version=f"s2ldm-train {__version__}")
    add_commands(parser, __package__, COMMANDS)
    return parser
