"""The command line ``s2ldm``.

Exit codes and errors: see :mod:`S2LDMLib.commands.console`. Each command is a module beside this one with ``HELP``,
``add_arguments(parser)`` and ``run(args, should_cancel)``; importing one loads no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from ..about import __version__
from .console import common_options, run_command

COMMANDS = ("translate", "to-dicom", "check", "series", "info", "download", "demo")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run_command(build_parser(), argv)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="s2ldm", description="Synthetic contrast-enhanced CT from non-contrast CT.")
    parser.add_argument("--version", action="version", version=f"s2ldm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = import_module(f"{__package__}.{name.replace('-', '_')}")
        added = commands.add_parser(name, parents=[common_options()], help=command.HELP, description=command.HELP)
        command.add_arguments(added)
        added.set_defaults(command=command.run)
    return parser
