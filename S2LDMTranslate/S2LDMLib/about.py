"""What this program is called in every result that it makes."""

from __future__ import annotations

__version__ = "0.1.0"
NOTICE = "SYNTHETIC - NOT FOR DIAGNOSIS"  # what every picture of a result says
