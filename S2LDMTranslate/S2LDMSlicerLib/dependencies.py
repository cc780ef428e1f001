"""The Python packages that the engine needs and Slicer lacks: asked for once, at the point of use.

PyTorch comes from Slicer's PyTorch extension, which knows the computer's GPU; pip gets the rest, and is told to leave
PyTorch and Slicer's own numpy and SimpleITK as they are.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import CalledProcessError

from packaging.requirements import Requirement

from .errors import PanelError

# Beside this package, in the source tree as in an installed extension, where all modules share one folder.
REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "Requirements"
TORCH_SIZE = "0.2 GB for a computer without an NVIDIA GPU, 3 GB with one"


def read_requirements(name: str) -> list[Requirement]:
    """The requirements in one of the lists in :data:`REQUIREMENTS`."""
    lines = [line.strip() for line in (REQUIREMENTS / name).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


KEPT = {each.name: each for each in read_requirements("Slicer.txt")}
TORCH = KEPT["torch"]


class DependencyError(PanelError):
    """A package is missing and was not installed; one sentence what is wrong, one what to do."""


@dataclass(frozen=True)
class Packages:
    """What one kind of work needs.

    requirements: names of the lists in :data:`REQUIREMENTS` that hold what is needed besides PyTorch.
    requester: the module's name, for people. work: what it does ("training"), again: what to press to try again.
    size: how much all but PyTorch is to download, for people.
    """

    requirements: tuple[str, ...]
    requester: str
    work: str
    again: str
    size: str

    def missing(self) -> list[str]:
        """The requirements that are not met, PyTorch first."""
        return [str(each) for each in (TORCH, *self._listed()) if not _is_met(each)]

    def ensure(self) -> None:
        """Install what is missing, after one question that names what and how large.

        Raises:
            DependencyError: the PyTorch extension is missing, PyTorch is too old, pip failed, or the user declined.
        """
        missing = self.missing()
        if not missing:
            return
        _check_slicer()
        torch_missing = str(TORCH) in missing
        if torch_missing:
            _check_torch_can_be_had()
        self._ask(missing, torch_missing)
        if torch_missing:
            _install_torch()
        self._install_others()

    def _listed(self) -> list[Requirement]:
        return [each for name in self.requirements for each in read_requirements(name)]

    def _ask(self, missing: list[str], torch_missing: bool) -> None:
        import slicer

        sizes = [f"PyTorch: {TORCH_SIZE}"] if torch_missing else []
        if len(missing) > torch_missing:
            sizes.append(f"the others: about {self.size}")
        question = (
            f"{self.work.capitalize()} needs Python packages that Slicer does not have:\n\n{', '.join(missing)}\n\n"
            f"Download and install them ({'; '.join(sizes)})?"
        )
        if not slicer.util.confirmOkCancelDisplay(question, f"{self.requester} - Install Python packages"):
            raise DependencyError(
                f"The Python packages that {self.work} needs are not installed. Press {self.again} again to install."
            )

    def _install_others(self) -> None:
        import slicer.packaging

        kept = {name: installed_version(name) for name in KEPT}
        with tempfile.TemporaryDirectory() as folder:
            constraints = Path(folder) / "constraints.txt"
            lines = [f"{name}=={found}" for name, found in kept.items() if found]
            constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
            try:
                slicer.packaging.pip_ensure(
                    self._listed(),
                    constraints=constraints,
                    prompt_install=False,
                    requester=self.requester,
                )
            except CalledProcessError:
                raise DependencyError(
                    f"pip could not install what {self.work} needs; its log is in the Python console. Try again; where "
                    "the network blocks pip, set HTTPS_PROXY or install the packages from files (README, Offline)."
                ) from None


def installed_version(name: str) -> str | None:
    """The version of an installed package, without importing it, which for torch would take seconds and memory."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_met(requirement: Requirement) -> bool:
    found = installed_version(requirement.name)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _check_slicer() -> None:
    try:
        import slicer.packaging  # noqa: F401
    except ImportError:
        raise DependencyError("This Slicer is too old to install what is needed. Use Slicer 5.12 or newer.") from None


def _check_torch_can_be_had() -> None:
    if found := installed_version("torch"):
        raise DependencyError(
            f"PyTorch {found} is too old, {TORCH} is needed. Uninstall it in the module PyTorch Utils, restart Slicer "
            "and try again."
        )
    try:
        import PyTorchUtils  # noqa: F401
    except ModuleNotFoundError:
        raise DependencyError(
            "Slicer's PyTorch extension is not installed. Install it in the Extensions Manager, restart Slicer and try "
            "again."
        ) from None


def _install_torch() -> None:
    import PyTorchUtils

    try:
        logic = PyTorchUtils.PyTorchUtilsLogic()
        installed = logic.installTorch(askConfirmation=False, torchVersionRequirement=str(TORCH.specifier))
    except CalledProcessError:
        installed = None
    if installed is None:
        raise DependencyError("PyTorch could not be installed. Install it in the module PyTorch Utils and try again.")
