"""The command line of the trainer: ``s2ldm-train prepare | train | evaluate | publish``.

Exit codes and errors: see :mod:`S2LDMLib.commands.console`. Each command is a module beside this one with ``HELP``,
``add_arguments(parser)`` and ``run(args, should_cancel)``; importing one loads no torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from S2LDMLib.about import __version__
from S2LDMLib.commands.console import common_options, run_command

COMMANDS = ("prepare", "train", "evaluate", "publish")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    return run_command(build_parser(), argv)


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="s2ldm-train", description="Train, score and publish S2LDM models.")
    parser.add_argument("--version", action="version", version=f"s2ldm-train {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        command = import_module(f"{__package__}.{name}")
        added = commands.add_parser(name, parents=[common_options()], help=command.HELP, description=command.HELP)
        command.add_arguments(added)
        added.set_defaults(command=command.run)
    return parser
