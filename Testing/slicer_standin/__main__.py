"""``python -m slicer_standin SCRIPT ARGUMENTS``: what ``Slicer --no-main-window --python-script SCRIPT ...`` does."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from . import start


def main() -> int:
    slicer = start()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
    if slicer.app.exit_code is None:
        print("the script did not end Slicer", file=sys.stderr)
        return 99
    return slicer.app.exit_code


if __name__ == "__main__":
    sys.exit(main())
