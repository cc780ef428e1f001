"""Fixtures of the tests of the module S2LDMTranslate; what they use skips where slicer-core or Qt cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Slicer's temporary folder, and an empty scene."""
    from panel_translate import clean_scene, temporary_path

    with clean_scene(), temporary_path(tmp_path / "temporary") as folder:
        yield folder


@pytest.fixture
def opened(temporary: Path) -> Iterator[Callable[..., Any]]:
    """Opens panels over the real engine, or over the tiny one with an end."""
    from panel_translate import opened_panels

    with opened_panels() as open_panel:
        yield open_panel


@pytest.fixture
def with_ct(opened: Callable[..., Any], phantom: Any) -> Callable[..., Any]:
    """Does the same over a scene with one CT, which the panel then chooses."""
    from panel_translate import add_volume

    return lambda engine="": add_volume(phantom.ncct) and opened(engine)


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What slicer.util.errorDisplay was asked to show: text and details."""
    import slicer

    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(
        slicer.util, "errorDisplay", lambda text, title="", detailedText="", **_: shown.append((text, detailedText))
    )
    return shown


@pytest.fixture
def compared() -> Iterator[tuple[Any, tuple[Any, Any]]]:
    from compare_scene import comparing

    with comparing() as both:
        yield both


@pytest.fixture
def view(compared: tuple[Any, tuple[Any, Any]]) -> Any:
    """A CompareView that shows nothing yet."""
    return compared[0]


@pytest.fixture
def pair(compared: tuple[Any, tuple[Any, Any]]) -> tuple[Any, Any]:
    """Input and synthetic volume, in a scene with Slicer's usual layout."""
    return compared[1]
