"""The command line ``s2ldm``.

Exit codes and errors: see :mod:`S2LDMLib.commands.console`. Each command is a module beside this one with ``HELP``,
``add_arguments(parser)`` and ``run(args, should_cancel)``; importing one loads no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..about import __version__
from .console import add_commands, run_command

COMMANDS = ("translate", "to-dicom", "check", "series", "info", "download", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run_command(build_parser(), argv)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="s2ldm", description="Synthetic contrast-enhanced CT from non-contrast CT.")
    parser.add_argument("--version", action="version", version=f"s2ldm {__version__}")
    add_commands(parser, __package__, COMMANDS)
    return parser
