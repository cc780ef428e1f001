"""A proxy or a certificate that keeps the client from the Hub is named, with the setting that helps."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from hub_samples import HUB, REPO, message_of
from hub_server import HubServer
from huggingface_hub import constants
from huggingface_hub.errors import HTTPError
from S2LDMLib.errors import DownloadError
from S2LDMLib.model.hub import resolve_model
from S2LDMLib.model.hub_errors import explain


@pytest.fixture
def distant(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A Hub for which a proxy and certificates count, as they do not for the loopback; it is never asked."""
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    huggingface_hub.close_session()  # the client reads the environment when it connects first
    yield monkeypatch


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://127.0.0.1:1", ("SOCKS", "pip install 'socksio")),
        ("odd://user:secret@127.0.0.1:1", ("unknown kind", "HTTPS_PROXY")),
    ],
)
def test_a_proxy_that_the_client_cannot_use(distant: pytest.MonkeyPatch, proxy: str, words: tuple[str, ...]) -> None:
    distant.setenv("HTTPS_PROXY", proxy)
    distant.setitem(sys.modules, "socksio", None)  # as if it were not installed
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert all(word in message_of(error) for word in words)
    assert "secret" not in str(error.value) and "Try again" not in str(error.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read(distant: pytest.MonkeyPatch, tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "ca.pem").write_text(content)
    distant.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert f"SSL_CERT_FILE={tmp_path / 'ca.pem'} cannot be read" in message_of(error)


@pytest.mark.parametrize("kind", [HTTPError, ssl.SSLCertVerificationError])
def test_a_certificate_that_is_not_trusted(kind: type[Exception]) -> None:
    raised = kind("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)")
    said = str(explain(raised, REPO, "download"))
    assert "self-signed" in said and "SSL_CERT_FILE" in said and "Check the network" not in said
