"""What this program makes, and what it says in every result."""

from __future__ import annotations

__version__ = "0.1.0"
PHASES = ("arterial", "venous")
NOTICE = "SYNTHETIC - NOT FOR DIAGNOSIS"  # what every picture of a result says
