"""A small Hugging Face Hub on the loopback, for tests that run the real ``huggingface_hub`` client over HTTP.

It answers as huggingface.co does (status codes, X-Error-Code, ETag, X-Repo-Commit, X-Linked-*, ranges, LFS
upload), serves large files from another origin as the Hub's CDN does, and like most mirrors knows no Xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from hub_repos import Repo, blob_id, front_matter_errors, is_lfs

_REPO = r"(?P<repo>[^/]+/[^/]+)"


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case


class HubServer:
    """A running Hub. Use it as a context manager, or call ``close``."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens = {"hf_valid"}
        self.read_only_tokens = {"hf_read"}
        self.foreign = {"others"}  # owners in whose name nobody here may write
        self.lfs: dict[str, bytes] = {}
        self.log: list[Request] = []
        self.cut_once: dict[str, int] = {}  # sha256 of a large file: bytes to send before hanging up, once
        self.outage: int | None = None  # status that every request gets meanwhile
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = False  # so that close() waits for the requests under way
        self._http.hub = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Base URL, for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def cdn(self) -> str:
        """Base URL of large files: the same server, but another origin."""
        return f"http://localhost:{self._http.server_port}"

    def repo(self, repo_id: str, files: dict[str, bytes], private: bool = False, gated: bool = False) -> str:
        """Make a repository with one commit and return the commit's hash."""
        self.repos[repo_id] = Repo(private, gated)
        return self.repos[repo_id].commit(files)

    def requested(self, method: str | None = None) -> list[str]:
        """Return the paths of all requests so far, or of those with one method."""
        return [request.path for request in self.log if method in (None, request.method)]

    def close(self) -> None:
        """Stop serving and end all threads."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def handle_one_request(self) -> None:
        """Serve one request and hang up, so that no thread outlives its request."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.close_connection = True
        self.hub: HubServer = self.server.hub
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.body = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.log.append(Request(self.command, unquote(url.path), self.query, headers))
        if self.hub.outage:
            return self._fail(self.hub.outage, "", "Out of order")
        for method, pattern, serve in _ROUTES:
            match = re.fullmatch(pattern, url.path)
            if match and self.command in method.split():
                return serve(self, **{name: unquote(value) for name, value in match.groupdict().items()})
        return self._fail(404, "", f"No route for {self.command} {url.path}")

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean; ``HubServer.log`` has it all."""

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    # Answers

    def _send(self, status: int, body: bytes = b"", cut: int | None = None, **headers: object) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers, "Connection": "close"}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])

    def _json(self, content: object, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), Content_Type="application/json")

    def _fail(self, status: int, code: str, message: str) -> None:
        self._send(status, json.dumps({"error": message}).encode(), X_Error_Code=code, X_Error_Message=message)

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _readable(self, repo_id: str) -> Repo | None:
        """Return the repository if the token opens it; otherwise answer as the Hub does and return None."""
        token, repo = self._token(), self.hub.repos.get(repo_id)
        if token and token not in self.hub.tokens | self.hub.read_only_tokens:
            self._fail(401, "", "Invalid credentials in Authorization header")
        elif not token and (repo is None or repo.private):
            self._fail(401, "", "Invalid username or password.")
        elif repo is None:
            self._fail(404, "RepoNotFound", "Repository not found")
        else:
            return repo
        return None

    def _tree(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]] | None:
        sha = repo.resolve(revision)
        if sha is None and repo.commits:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return sha or "0" * 40, repo.commits.get(sha, {})

    # Download

    def info(self, repo: str, rev: str = "main") -> None:
        found = self._readable(repo)
        if found and (tree := self._tree(found, rev)):
            sizes = "blobs" in self.query
            siblings = [
                {"rfilename": path, **({"size": len(content), "blobId": blob_id(path, content)} if sizes else {})}
                for path, content in tree[1].items()
            ]
            self._json({"id": repo, "modelId": repo, "sha": tree[0], "private": found.private, "siblings": siblings})

    def resolve(self, repo: str, rev: str, path: str) -> None:
        found = self._readable(repo)
        if found is None:
            return None
        if found.gated and self._token() not in self.hub.tokens:
            return self._fail(403 if self._token() else 401, "GatedRepo", f"Access to model {repo} is restricted.")
        tree = self._tree(found, rev)
        if tree is None:
            return None
        sha, content = tree[0], tree[1].get(path)
        if content is None:
            return self._fail(404, "EntryNotFound", "Entry not found")
        etag = blob_id(path, content)
        if not is_lfs(path):
            return self._send(200, content, ETag=f'"{etag}"', X_Repo_Commit=sha)
        self.hub.lfs[etag] = content
        linked = {"X_Linked_Etag": f'"{etag}"', "X_Linked_Size": len(content)}
        return self._send(302, Location=f"{self.hub.cdn}/cdn/{etag}", X_Repo_Commit=sha, **linked)

    def cdn(self, oid: str) -> None:
        content = self.hub.lfs[oid]
        cut = self.hub.cut_once.pop(oid, None) if self.command == "GET" else None
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked is None:
            return self._send(200, content, cut, ETag=f'"{oid}"', Accept_Ranges="bytes")
        start = int(asked[1])
        covered = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(206, content[start:], cut, ETag=f'"{oid}"', Content_Range=covered)

    # Upload

    def _writable(self, repo_id: str, must_exist: bool = True) -> bool:
        if self._token() in self.hub.read_only_tokens:
            self._fail(403, "", "This token has no write permission")
        elif self._token() not in self.hub.tokens:
            self._fail(401, "", "Invalid username or password.")
        elif repo_id.split("/")[0] in self.hub.foreign:
            self._fail(403, "", "You don't have the rights to write under this namespace")
        elif must_exist and repo_id not in self.hub.repos:
            self._fail(404, "RepoNotFound", "Repository not found")
        else:
            return True
        return False

    def create(self) -> None:
        asked = json.loads(self.body)
        repo_id = f"{asked['organization']}/{asked['name']}"
        if not self._writable(repo_id, must_exist=False):
            return
        exists = repo_id in self.hub.repos
        if not exists:
            self.hub.repos[repo_id] = Repo(private=asked.get("visibility") == "private")
        self._json({"url": f"{self.hub.endpoint}/{repo_id}", "name": repo_id}, 409 if exists else 200)

    def validate_yaml(self) -> None:
        errors = front_matter_errors(json.loads(self.body)["content"])
        if errors and self.headers.get("Accept") == "text/plain":
            return self._send(400, "\n".join(f"- Error: {error}" for error in errors).encode())
        content = {"errors": [{"message": error} for error in errors], "warnings": []}
        return self._json(content, 400 if errors else 200)

    def preupload(self, repo: str, rev: str) -> None:
        if self._writable(repo):
            paths = [file["path"] for file in json.loads(self.body)["files"]]
            modes = {path: "lfs" if is_lfs(path) else "regular" for path in paths}
            self._json({"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes.items()]})

    def batch(self, repo: str) -> None:
        if self._writable(repo):
            base = f"{self.hub.endpoint}/lfs"
            actions = {"verify": {"href": f"{base}/verify"}}
            objects = [
                {**file, "actions": {"upload": {"href": f"{base}/{file['oid']}"}, **actions}}
                for file in json.loads(self.body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        self.hub.lfs[oid] = self.body
        self._send(200)

    def verify(self) -> None:
        asked = json.loads(self.body)
        stored = self.hub.lfs.get(asked["oid"], b"")
        whole = hashlib.sha256(stored).hexdigest() == asked["oid"] and len(stored) == asked["size"]
        self._send(200 if whole else 400)

    def commit(self, repo: str, rev: str) -> None:
        if not self._writable(repo):
            return
        files = {}
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.lfs[value["oid"]]
        sha = self.hub.repos[repo].commit(files)
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.endpoint}/{repo}/commit/{sha}"})


_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", rf"/api/models/{_REPO}", _Handler.info),
    ("GET", rf"/api/models/{_REPO}/revision/(?P<rev>[^/]+)", _Handler.info),
    ("GET HEAD", rf"/{_REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", _Handler.resolve),
    ("GET HEAD", r"/cdn/(?P<oid>\w+)", _Handler.cdn),
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate_yaml),
    ("POST", rf"/api/models/{_REPO}/preupload/(?P<rev>[^/]+)", _Handler.preupload),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler.batch),
    ("POST", r"/lfs/verify", _Handler.verify),
    ("PUT", r"/lfs/(?P<oid>\w+)", _Handler.put),
    ("POST", rf"/api/models/{_REPO}/commit/(?P<rev>[^/]+)", _Handler.commit),
]
