"""Fetching a model from the Hub: size and licence first, and only then the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .engine_process import EngineProcess, Start
from .job import Job


class DownloadJob(Job):
    """A download; it asks the user once, and when it is done the model lies in the cache."""

    def __init__(self, model: str, temporary: Path, start: Start = EngineProcess) -> None:
        super().__init__(temporary, start)
        self.model = model

    def _work(self, folder: Path) -> None:
        self._show("asking the Hub", 0.0)
        offer: dict[str, Any] = {}
        for event in self._engine(["download", self.model, "--dry-run"]):
            offer = event
        if offer["missing_bytes"]:
            self._ask(download_question(offer))
        for event in self._engine(["download", self.model, "--progress", "json"]):
            if "fraction" in event:
                self._show("downloading", float(event["fraction"]))


def download_question(offer: dict[str, Any]) -> str:
    """Return what people should know before they fetch a model, as a question."""
    return (
        f"Download the model {offer['model']} ({offer['missing_bytes'] / 1e6:.0f} MB)?\n\n"
        f"Licence: {offer['licence']}\nRevision: {offer['revision']}\nIt will be kept in {offer['cache']}"
    )
