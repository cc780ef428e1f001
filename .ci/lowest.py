"""Prints the lowest versions that the lists of requirements allow, as constraints for pip.

PyTorch is left out: which build is installed is the Makefile's TORCH.
"""

import re
from pathlib import Path

bounds = {
    found[1]: found[2]
    for file in Path(__file__).resolve().parents[1].glob("*/Resources/Requirements/*.txt")
    for line in file.read_text(encoding="utf-8").splitlines()
    if (found := re.match(r"([\w.-]+)>=([\w.]+)", line))
}
for name in sorted(bounds.keys() - {"torch"}):
    print(f"{name}=={bounds[name]}")
