"""A model folder goes to the Hub as one commit; only the model's own files and its README are ever sent."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from ..errors import ModelError
from .hub import INFO_TIMEOUT_S, hub_client, read_card
from .hub_errors import explained
from .layout import PICKLE_SUFFIXES, README_FILE, REQUIRED_FILES, check_format


@dataclass(frozen=True)
class HubRepository:
    """A repository that exists on the Hub: whether it is private, and the text of its README if it has one."""

    private: bool
    card: str | None


def check_upload(folder: Path) -> None:
    """Check that a folder is a complete model without pickles, as :func:`push_to_hub` asks for.

    Raises:
        ModelError: the folder is incomplete or holds pickles.
    """
    check_format(folder)
    pickles = [path.name for path in folder.rglob("*") if path.suffix.lower() in PICKLE_SUFFIXES]
    if pickles:
        raise ModelError(f"{folder} holds pickles ({', '.join(sorted(pickles))}). Remove them first.")


def push_to_hub(
    folder: Path,
    repo_id: str,
    private: bool = True,
    commit_message: str = "Upload S2LDM model",
    token: str | None = None,
    card: str | None = None,
) -> str:
    """Upload a model folder to the Hub as one commit, making the repository if there is none.

    Args:
        folder: a complete model folder; only the model's files and its README are uploaded.
        repo_id: target repository, "owner/name".
        private: visibility of a new repository; an existing one keeps its own.
        commit_message: first line of the commit.
        token: access token with write permission; HF_TOKEN or the stored log-in if None.
        card: text of the README to upload instead of the folder's own, which stays as it is.

    Returns:
        The commit hash, which pins this very model as ``owner/name@hash``.

    Raises:
        ModelError: the folder is incomplete or holds pickles, or the Hub does not take the card.
        DownloadError: the Hub, the network or a permission is in the way.
    """
    folder = Path(folder)
    check_upload(folder)
    hub = hub_client()
    with explained(repo_id, "upload"):
        api = hub.HfApi(token=token)
        if card is not None:
            _check_card(hub, card)  # before a repository is made that would stay empty
        api.create_repo(repo_id, private=private, exist_ok=True)
        with ExitStack() as opened:
            # One commit, so that every revision is a whole model; open files, because their transfer is plain
            # HTTP, which every Hub-compatible server takes.
            contents: dict[str, bytes | BinaryIO] = {
                name: opened.enter_context((folder / name).open("rb"))
                for name in (*REQUIRED_FILES, README_FILE)
                if (folder / name).is_file()
            }
            if card is not None:
                contents[README_FILE] = card.encode()
            additions = [hub.CommitOperationAdd(name, content) for name, content in contents.items()]
            return api.create_commit(repo_id, additions, commit_message=commit_message).oid


def find_repository(repo_id: str, token: str | None = None) -> HubRepository | None:
    """Look up what a model repository holds already, before something is uploaded to it.

    Args:
        repo_id: the repository, "owner/name".
        token: access token; HF_TOKEN or the stored log-in if None.

    Returns:
        None if there is no such repository.

    Raises:
        ModelError: the name is not one of the Hub.
        DownloadError: the Hub, the network or a permission is in the way.
    """
    hub = hub_client()
    with explained(repo_id, "upload"):
        try:
            info = hub.HfApi(token=token).model_info(repo_id, timeout=INFO_TIMEOUT_S)
        except hub.errors.RepositoryNotFoundError as error:
            # Who has no token is told 401 for a repository that there is not, and needs a token in either case.
            if error.response.status_code == 404:
                return None
            raise
        has_card = README_FILE in {sibling.rfilename for sibling in info.siblings or ()}
        return HubRepository(bool(info.private), read_card(hub, repo_id, info.sha, token) if has_card else None)


def _check_card(hub: ModuleType, card: str) -> None:
    try:
        hub.ModelCard(card).validate()
    except ValueError as error:
        reasons = "; ".join(line.strip("- .") for line in str(error).splitlines() if line.strip("- ."))
        raise ModelError(f"The Hub does not take the model card ({reasons}). Correct its front matter.") from error
