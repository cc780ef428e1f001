"""How a run of ``s2ldm`` ended, for tests that run it within their own process (the fixture ``cli``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    def done(self) -> str:
        """What was printed by a run that must have succeeded."""
        assert self.code == 0, self.err
        return self.out

    def json(self) -> Any:
        """The one object that was printed by a run that must have succeeded."""
        return json.loads(self.done())

    def refused(self) -> str:
        """The one line of a run that must have been refused."""
        assert self.code == 2 and len(self.err.splitlines()) == 1, self
        return self.err


Cli = Callable[..., Ended]
