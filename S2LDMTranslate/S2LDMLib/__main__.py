"""``python -m S2LDMLib`` is the command line ``s2ldm``, for Slicer's Python."""

from __future__ import annotations

import sys

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
