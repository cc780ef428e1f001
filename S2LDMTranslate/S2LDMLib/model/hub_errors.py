"""What the Hub client raises, turned into one sentence of what is wrong and one of what to do."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import DownloadError, ModelError, S2LDMError, one_line

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


@contextmanager
def explained(repo_id: str, action: str, revision: str = "main") -> Iterator[None]:
    """Turn whatever the client raises in the block into what :func:`explain` makes of it; our own errors pass."""
    try:
        yield
    except S2LDMError:
        raise
    except Exception as error:
        raise explain(error, repo_id, action, revision) from error


def explain(error: Exception, repo_id: str, action: str, revision: str = "main") -> ModelError:
    """Turn what the Hub client raised into an error for the user.

    Args:
        error: whatever the client raised.
        repo_id: the repository that was asked for.
        action: "download" or "upload".
        revision: the branch, tag or commit that was asked for.

    Returns:
        An error whose message says in one sentence what is wrong and in one what to do.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

    if isinstance(error, HfHubHTTPError):
        return _explain_answer(error, repo_id, revision, action, constants.ENDPOINT)
    if isinstance(error, HFValidationError):
        return ModelError(f"'{repo_id}' is not a valid repository name ({one_line(error)}). Give owner/name.")
    # The Xet transfer library reports a full disk in words only.
    if getattr(error, "errno", None) == errno.ENOSPC or f"os error {errno.ENOSPC}" in str(error):
        return DownloadError(
            f"The disk of the cache {constants.HF_HUB_CACHE} is full. Free some space or point HF_HOME to another disk."
        )
    if cause := _setting_in_the_way(error, constants.ENDPOINT):
        return DownloadError(cause)
    if isinstance(error, (HTTPError, ConnectionError)):
        return DownloadError(
            f"Cannot reach {constants.ENDPOINT} for the {action} of {repo_id} ({one_line(error)}). "
            "Check the network, the proxy and HF_ENDPOINT, or use a model folder."
        )
    if isinstance(error, OSError) and error.filename:
        return DownloadError(
            f"Cannot write to the cache {constants.HF_HUB_CACHE} ({one_line(error)}). "
            "Check its permissions or point HF_HOME to another folder."
        )
    return DownloadError(f"The {action} of {repo_id} failed ({one_line(error)}). Try again.")


def _setting_in_the_way(error: Exception, endpoint: str) -> str:
    """Tell what of this computer's proxy or certificates keeps the client from the Hub; empty for anything else."""
    words = str(error)
    if isinstance(error, ImportError) and "socks" in words.lower():
        return (
            "The proxy of this computer is a SOCKS proxy, for which the package socksio is missing. Install it with: "
            "pip install 'socksio==1.*', or set HTTPS_PROXY to an HTTP proxy."
        )
    if isinstance(error, ValueError) and "proxy URL" in words:
        return "The proxy of this computer is of an unknown kind. Set HTTPS_PROXY to http://HOST:PORT."
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return (
            f"The certificate that {endpoint} shows is not trusted on this computer ({one_line(error)}), most often "
            "that of a proxy which reads along. Set SSL_CERT_FILE to a PEM file with the certificate of its authority; "
            "REQUESTS_CA_BUNDLE is not looked at."
        )
    named = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    if named and isinstance(error, (FileNotFoundError, ssl.SSLError)) and not error.filename:
        return f"{named[0]}={os.environ[named[0]]} cannot be read as certificates. Correct the variable, or unset it."
    return ""


def _explain_answer(error: HfHubHTTPError, repo_id: str, revision: str, action: str, endpoint: str) -> ModelError:
    """Explain an error status that the Hub itself answered with."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = error.response.status_code
    bad_token = error.response.headers.get("X-Error-Message", "").startswith("Invalid credentials")
    log_in = "set HF_TOKEN or run 'hf auth login'"
    if isinstance(error, GatedRepoError):
        return DownloadError(f"{repo_id} is gated. Accept its terms at {endpoint}/{repo_id}, then {log_in}.")
    if isinstance(error, RevisionNotFoundError):
        return ModelError(f"{repo_id} has no revision '{revision}'. Give a branch, tag or full commit hash.")
    if status == 401 and action == "download" and not bad_token:
        # The Hub tells a stranger 401 for either; only who is logged in learns that there is nothing (404).
        return DownloadError(
            f"{repo_id} is private or does not exist on {endpoint}. Check the name; if private, {log_in}."
        )
    if status == 401:
        return DownloadError(f"{endpoint} asks for a valid access token. Get one there, then {log_in}.")
    if isinstance(error, RepositoryNotFoundError):
        return ModelError(f"There is neither a folder nor a model {repo_id} on {endpoint}. Check the name.")
    if status == 403:
        return DownloadError(f"The access token gives no right to this on {repo_id}. Get one that does, then {log_in}.")
    return DownloadError(f"{endpoint} answered with error {status} for {repo_id}. Try again later.")
