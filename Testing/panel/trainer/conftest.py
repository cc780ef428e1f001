"""Fixtures of the tests of the module S2LDMTrainer; what they use skips where slicer-core or Qt cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run folder that does not exist yet."""
    from panel_trainer import ended_afterwards

    with ended_afterwards(tmp_path / "run") as folder:
        yield folder


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Path]:
    """Says how the tiny training goes; returns its data folder."""
    from panel_trainer import make_plan

    return partial(make_plan, tmp_path / "prepared")
