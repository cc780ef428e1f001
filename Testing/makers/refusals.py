"""What a volume that cannot be read must get: one line that names the case."""

from __future__ import annotations

from pathlib import Path

import pytest
from S2LDMLib.errors import InputError
from S2LDMLib.reading import read_volume


def refused(path: Path, *words: str, series_uid: str | None = None) -> str:
    """Asserts one line of reason that holds every word; returns it."""
    with pytest.raises(InputError) as caught:
        read_volume(path, series_uid)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message
