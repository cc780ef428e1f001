"""What was measured on a volume before its translation, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_PREFIX = "S2LDM_input_"
_UNITS = {"mm": "mm", "hu": "HU"}


@dataclass(frozen=True)
class Score:
    """One measured figure.

    name: ends with its unit.
    value: None where it could not be measured.
    limit: up to which the model can be trusted; None for a figure that is only told.
    at_least: the value should be the limit or more, instead of the limit or less.
    """

    name: str
    value: float | None
    limit: float | None = None
    at_least: bool = False

    @property
    def is_within(self) -> bool:
        """Whether nothing speaks against the value."""
        if self.value is None or self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        if self.value is None:
            return "not measured"
        if self.limit is None:
            return _figure(self.value)
        return f"{_figure(self.value)} ({'at least' if self.at_least else 'at most'} {_figure(self.limit)})"

    @property
    def label(self) -> str:
        """The name for people, such as ``slice (mm)``."""
        words, _, unit = self.name.rpartition("_")
        return f"{words.replace('_', ' ')} ({_UNITS[unit]})" if unit in _UNITS else self.name.replace("_", " ")


@dataclass(frozen=True)
class InputReport:
    """Reasons to doubt the result, and the figures behind them.

    warnings: one reason each, what is seen and what to do; empty for a usual non-contrast CT of the abdomen.
    enhanced: one of them is that the volume seems to hold contrast already.
    notes: what could not be judged.
    """

    warnings: tuple[str, ...]
    enhanced: bool = False
    notes: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report for programs; each score with its value, its limit and whether it is within it."""
        scores = {
            each.name: {"value": each.value, "limit": each.limit, "at_least": each.at_least, "within": each.is_within}
            for each in self.scores
        }
        return {"warnings": self.warnings, "enhanced": self.enhanced, "notes": self.notes, "scores": scores}

    def provenance(self) -> dict[str, str]:
        """The report as header entries of a result, ASCII, one line each."""
        entries = {_PREFIX + each.name: str(each) for each in self.scores}
        for name, sentences in (("warnings", self.warnings), ("notes", self.notes)):
            entries[_PREFIX + name] = " ".join(sentences) or "none"
        return entries

    def text(self) -> str:
        """The report for people: the findings, then a line for each figure."""
        width = max((len(each.label) for each in self.scores), default=0)
        figures = [f"  {each.label:{width}}  {each}" for each in self.scores]
        found = self.warnings or ("A non-contrast CT that can be translated.",)
        return "\n".join([*found, *self.notes, *figures])


def _figure(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
