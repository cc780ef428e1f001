"""``python -m S2LDMTrainerLib`` is the command line ``s2ldm-train``, for Slicer's Python."""

from __future__ import annotations

import sys

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
