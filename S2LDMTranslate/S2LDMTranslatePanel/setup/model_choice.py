"""Which model translates: the bundled one, one in a folder, or one of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from S2LDMLib.errors import DownloadError, S2LDMError
from S2LDMLib.model.hub import BUNDLED, HUB_NAME, ModelSource, resolve_model
from S2LDMLib.model.info import describe_model
from S2LDMLib.model.layout import check_format
from S2LDMSlicerLib.errors import PanelError

BUNDLED_KIND, FOLDER_KIND, HUB_KIND = "Bundled demonstration model", "Folder", "Hugging Face Hub"
KINDS = (BUNDLED_KIND, FOLDER_KIND, HUB_KIND)


@dataclass(frozen=True)
class ModelFacts:
    """What the panel needs to know of a model that lies on this disk.

    argument: the model as ``s2ldm`` takes it; for one of the Hub it names the very commit.
    folder: where the model lies on this disk.
    kind: kind of its denoiser, on which depends what packages it needs.
    samples_differ_from: number of sampling steps from which on the result depends on the seed.
    """

    argument: str
    folder: str
    kind: str
    phases: tuple[str, ...]
    steps: int
    samples_differ_from: int
    can_native: bool
    licence: str
    megabytes: float
    revision: str

    @property
    def summary(self) -> str:
        """The facts in one line for people."""
        revision = f", revision {self.revision[:10]}" if self.revision else ""
        return f"{', '.join(self.phases)}; licence {self.licence}; {self.megabytes:.0f} MB{revision}"


@dataclass(frozen=True)
class ModelChoice:
    """What is chosen in the panel; ``folder``, ``repository`` and ``revision`` count only for their ``kind``."""

    kind: str = BUNDLED_KIND
    folder: Path = Path()
    repository: str = ""
    revision: str = ""

    @property
    def on_hub(self) -> str:
        """The repository as ``owner/name@revision``.

        Raises:
            PanelError: no repository is named.
        """
        name = f"{self.repository.strip()}@{self.revision.strip() or 'main'}"
        if not HUB_NAME.fullmatch(name):
            raise PanelError(f"'{self.repository}' is no repository. Type owner/name, as on the Hub's pages.")
        return name

    def facts(self) -> ModelFacts:
        """Look at the model's small files; the network is never asked.

        Raises:
            PanelError: the model is not there, is incomplete, or has an unknown format.
        """
        try:
            source = self._find()
            found = describe_model(source)
        except DownloadError:
            raise PanelError(f"The model {self.repository} is not on this computer. Press Download.") from None
        except S2LDMError as error:
            raise PanelError(str(error)) from None
        argument = f"{source.model_id}@{source.revision}" if self.kind == HUB_KIND else source.model_id
        return ModelFacts(
            argument=argument,
            folder=str(source.folder),
            kind=str(found["denoiser"]["kind"]),
            phases=tuple(found["phases"]),
            steps=int(found["scheduler"]["steps"]),
            samples_differ_from=int(found["denoiser"]["samples_differ_from"]),
            can_native=bool(found["residual_decode"]),
            licence=str(found["licence"]),
            megabytes=found["bytes"] / 1e6,
            revision=source.revision,
        )

    def _find(self) -> ModelSource:
        if self.kind == HUB_KIND:
            return resolve_model(self.on_hub, local_files_only=True)
        if self.kind == FOLDER_KIND:
            folder = self.folder.expanduser()
            if not folder.is_dir() or folder == Path():
                raise PanelError(f"There is no folder {folder}. Choose the folder that holds the model's config.json.")
            check_format(folder)
            return ModelSource(folder, str(folder), "")
        return resolve_model(BUNDLED)
