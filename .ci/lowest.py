"""Prints the lowest versions that pyproject.toml allows, as constraints for pip.

PyTorch is left out: which build is installed is the Makefile's TORCH.
"""

import re
import tomllib
from pathlib import Path

EXTRAS_OF_DEVELOPERS = ("test", "integration")

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project.get("optional-dependencies", {})
requirements = [
    *project["dependencies"],
    *(line for name in extras if name not in EXTRAS_OF_DEVELOPERS for line in extras[name]),
]
for requirement in requirements:
    if found := re.match(r"([\w.-]+)>=([\w.]+)", requirement):
        name, lowest = found.groups()
        if name != "torch":
            print(f"{name}=={lowest}")
