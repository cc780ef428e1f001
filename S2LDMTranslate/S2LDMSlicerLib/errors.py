"""The error that the panel shows."""

from __future__ import annotations


class PanelError(RuntimeError):
    """Something cannot be done; one sentence what is wrong, one what to do."""
