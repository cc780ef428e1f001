"""A real PACS on the loopback: Orthanc, spoken to with the programs of DCMTK."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.misc import is_dicom
from pydicom.uid import UID, JPEG2000Lossless
from tools import files, run, tool

HOST = "127.0.0.1"
TITLE, OURS = "S2LDMPACS", "S2LDMTEST"
START_LIMIT_S = 60.0


@dataclass(frozen=True)
class Pacs:
    """C-ECHO, C-STORE, C-FIND, C-GET and C-MOVE with the PACS at ``port``; ``ours`` is where we receive with C-MOVE."""

    port: int
    ours: int

    def echo(self) -> None:
        """Raises AssertionError where no PACS answers."""
        run("echoscu", *self._address())

    def store(self, folder: Path) -> None:
        """Send every DICOM file of a folder as it is, in its own transfer syntax."""
        sent = [file for file in files(folder) if is_dicom(file)]
        headers = (pydicom.dcmread(file, stop_before_pixels=True) for file in sent)
        propose = [_proposal(syntax) for syntax in sorted({header.file_meta.TransferSyntaxUID for header in headers})]
        run("storescu", *filter(None, propose), *self._address(), *sent)

    def find(self, level: str, answers: Path, keys: Sequence[str]) -> list[pydicom.Dataset]:
        """What C-FIND answers at a level (``STUDY``, ``SERIES``, ``IMAGE``); ``keys`` are those of ``findscu -k``."""
        answers.mkdir()
        words = [word for key in (f"QueryRetrieveLevel={level}", *keys) for word in ("-k", key)]
        run("findscu", "-S", "-X", "-od", answers, *words, *self._address())
        return [pydicom.dcmread(file, force=True) for file in files(answers)]

    def get(self, study: str, series: str, folder: Path) -> None:
        """Fetch a series with C-GET into a new folder; Orthanc does not give compressed ones in this way."""
        folder.mkdir()
        run("getscu", "-S", "-od", folder, *_keys(study, series), *self._address())

    def move(self, study: str, series: str, folder: Path) -> None:
        """Fetch a series of JPEG 2000 with C-MOVE into a new folder, as it is stored."""
        folder.mkdir()
        receive = ["--port", str(self.ours), "-aem", OURS, "--prefer-j2k-lossless", "-od", folder]
        run("movescu", "-S", *receive, *_keys(study, series), *self._address())

    def _address(self) -> list[str]:
        return ["-aet", OURS, "-aec", TITLE, HOST, str(self.port)]


@contextmanager
def orthanc(folder: Path) -> Iterator[Pacs]:
    """Orthanc for as long as it is needed, with all its files in ``folder``; it talks to the loopback only."""
    port, ours = _free_ports(2)
    configuration = {
        "Name": "throw-away", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
        "HttpServerEnabled": False, "DicomServerEnabled": True, "DicomAet": TITLE, "DicomPort": port,
        "DicomCheckCalledAet": True, "DicomCheckModalityHost": True,
        "DicomAlwaysAllowEcho": False, "DicomAlwaysAllowStore": False,
        "DicomModalities": {"test": {"AET": OURS, "Host": HOST, "Port": ours, "AllowEcho": True, "AllowStore": True,
                                     "AllowFind": True, "AllowGet": True, "AllowMove": True}},
        "Plugins": [],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "orthanc.json", folder / "orthanc.log"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen([tool("Orthanc"), str(file)], stdout=said, stderr=subprocess.STDOUT)
    try:
        pacs = Pacs(port, ours)
        _wait_for(pacs, process, log)
        yield pacs
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(pacs: Pacs, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while True:
        assert process.poll() is None, f"Orthanc ended at once:\n{log.read_text(errors='replace')}"
        try:
            return pacs.echo()
        except AssertionError:
            assert time.monotonic() < end, f"Orthanc does not answer:\n{log.read_text(errors='replace')}"
            time.sleep(0.2)


def _proposal(syntax: UID) -> str:
    """The option of ``storescu`` that offers a transfer syntax; none is needed for the uncompressed ones."""
    if not syntax.is_compressed:
        return ""
    return {JPEG2000Lossless: "--propose-j2k-lossless"}[syntax]


def _keys(study: str, series: str) -> list[str]:
    keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}"]
    return [word for key in keys for word in ("-k", key)]


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((HOST, 0))
        return [free.getsockname()[1] for free in sockets]
