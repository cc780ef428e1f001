"""Where real CT data may lie, beside the repository; tests that need it skip where it is absent."""

from __future__ import annotations

from pathlib import Path

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
