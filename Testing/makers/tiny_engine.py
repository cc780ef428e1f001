"""A stand-in for the command line ``s2ldm`` that fails as it is told: ``tiny_engine.py END ARGUMENTS...``.

The commands answer as the real ones do, up to the translation itself, which ends in one of these ways: ``hang``,
``crash``, ``silent``, ``killed``, ``nothing`` (exit code 0 and no result). ``refused`` fails already at the check, and
``enhanced`` warns there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(end: str, arguments: list[str]) -> int:
    if arguments[0] == "check":
        if end == "refused":
            print("s2ldm: The volume is constant: every voxel is 0. Give a CT with content.", file=sys.stderr)
            return 2
        warned = ["The volume seems to be contrast-enhanced already."] if end == "enhanced" else []
        print(json.dumps({"warnings": warned, "enhanced": bool(warned)}))
        return 0
    print(json.dumps({"stage": "encode", "fraction": 0.25, "remaining_s": 30}), flush=True)
    print("a library says something", file=sys.stderr, flush=True)
    if end == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(arguments[1]).with_name("pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    if end == "crash":
        print("s2ldm: The model has no phase 'x'. Use one of: y.", file=sys.stderr)
        return 2
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return 3 if end == "silent" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
