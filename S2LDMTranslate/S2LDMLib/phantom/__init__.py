"""Procedural abdominal CT phantom: registered NCCT, arterial and venous volumes from a seed."""

from __future__ import annotations

from .scan import PhantomTriple, make_phantom
from .tissues import LABELS

__all__ = ["LABELS", "PhantomTriple", "make_phantom"]
