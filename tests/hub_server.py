"""A Hugging Face Hub on the loopback interface, for the real huggingface_hub client.

It knows models with branches and commits, private ones, and pull requests. Every file is of upload mode "regular", so
that weights arrive within the commit and neither LFS nor Xet is needed. Answers are those that huggingface_hub 0.34 to
2.4 ask for; see `_get` and `_post` for the list.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_test"  # known to the Hub, and in HF_TOKEN
TOKENS = {TOKEN, "hf_secret"}
Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits by hash, branches (and pull requests) by name, and who may see it (None: everybody)."""

    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    readers: set[str] | None = None

    def commit(self, files: Files, branch: str = "main", parent: str | None = None) -> str:
        """Adds files to what the parent (by default the branch) has; returns the new commit's hash."""
        base = self.commits.get(parent or self.branches.get(branch, ""), {})
        sha = hashlib.sha1(f"{len(self.commits)} {branch} {sorted(files)}".encode()).hexdigest()
        self.commits[sha] = {**base, **files}
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch or a hash means."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)


class HubServer:
    """The Hub; `url` stays the same when it is stopped and started again.

    Attributes:
        repositories: What it holds, by id.
        requests: "METHOD /path" of everything that was asked since the last `reset`.
        before: Called with each such line before it is answered: for what others do at that moment.
        failing: Pattern of request lines that are answered by an internal error.
        sending: Called in place of sending the answer to each GET that finds something: (handler, headers, content).
    """

    def __init__(self) -> None:
        self.port = 0
        self.reset()
        self.start()

    def reset(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.before: Callable[[str], None] = lambda line: None
        self.failing: str | None = None
        self.sending: Callable[[BaseHTTPRequestHandler, dict[str, str], bytes], None] | None = None

    def start(self) -> None:
        hub = self

        class Handler(_Handler):
            state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops the server: requests to `url` fail from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def commit(self, repo_id: str, files: Files, branch: str = "main", readers: set[str] | None = None) -> str:
        """Puts files into a repository, which is made if need be."""
        return self.repositories.setdefault(repo_id, Repository(readers=readers)).commit(files, branch)

    def files(self, repo_id: str, revision: str = "main") -> Files:
        """What a revision holds."""
        repository = self.repositories[repo_id]
        return repository.commits[repository.resolve(revision) or ""]


class Refusal(Exception):
    """An answer other than success: status, X-Error-Code, content and further headers."""

    def __init__(self, status: int, code: str | None = None, answer: object = None, **headers: str) -> None:
        self.status, self.answer = status, answer or {}
        self.headers = {key.replace("_", "-"): value for key, value in headers.items()}
        if code is not None:
            self.headers["X-Error-Code"] = code


class _Handler(BaseHTTPRequestHandler):
    # HTTP/1.0, the default of the base class, closes every connection, so that a stopped Hub cannot be reached.
    state: HubServer

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, way: Callable[[bytes], tuple[bytes | object, dict[str, str]]]) -> None:
        """Reads and notes the request, checks its token, and sends what `way` returns or refuses."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.line, self.query = url.path, parse_qs(url.query)
        line = f"{self.command} {self.line}"
        self.state.requests.append(line)
        self.state.before(line)
        authorization = self.headers.get("Authorization")
        self.token = authorization.removeprefix("Bearer ") if authorization else None
        status = 200
        try:
            if self.state.failing and re.search(self.state.failing, line):
                raise Refusal(500)
            if self.token is not None and self.token not in TOKENS:
                raise Refusal(401, X_Error_Message="Invalid credentials in Authorization header")
            answer, headers = way(body)
        except Refusal as refusal:
            status, answer, headers = refusal.status, refusal.answer, refusal.headers
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if self.state.sending is not None and status == 200 and self.command == "GET":
            self.state.sending(self, headers, content)
            return
        resumed = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if resumed and status == 200 and self.command == "GET":  # the rest of a file, whose beginning is in the cache
            begin = int(resumed[1])
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            status, content = 206, content[begin:]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _get(self, body: bytes) -> tuple[bytes | object, dict[str, str]]:
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", self.line):
            sha, files = self._find(match[1], match[3] or "main")
            if match[2] == "tree":
                entries = ((name, {"size": len(content), "oid": _oid(content)}) for name, content in files.items())
                return [{"type": "file", "path": name, **facts} for name, facts in entries], {}
            private = self.state.repositories[match[1]].readers is not None
            siblings = [{"rfilename": name} for name in files]
            return {"id": match[1], "sha": sha, "private": private, "siblings": siblings}, {}
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.line):
            sha, files = self._find(match[1], match[2])
            if match[3] not in files:
                raise Refusal(404, "EntryNotFound", X_Repo_Commit=sha)
            content = files[match[3]]
            return content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": sha}
        raise Refusal(404, "EntryNotFound")

    def _post(self, body: bytes) -> tuple[bytes | object, dict[str, str]]:
        if self.token is None:
            raise Refusal(401)
        if self.line == "/api/repos/create":
            return self._create(json.loads(body)), {}
        if self.line == "/api/validate-yaml":
            return {"errors": [], "warnings": []}, {}
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(branch|preupload|commit)/([^/]+)", self.line)
        if match is None:
            raise Refusal(404)
        repo_id, action, revision = match[1], match[2], unquote(match[3])
        if action == "branch":
            _, files = self._find(repo_id, "main")
            if revision in self.state.repositories[repo_id].branches:
                raise Refusal(409)
            self.state.commit(repo_id, files, revision)
            return {}, {}
        parent, _ = self._find(repo_id, revision)
        if action == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            return {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}, {}
        lines = [json.loads(line) for line in body.splitlines()]
        added = [line["value"] for line in lines if line["key"] == "file"]
        files = {file["path"]: base64.b64decode(file["content"]) for file in added}
        address, proposed = f"{self.state.url}/{repo_id}", "create_pr" in self.query
        sha = self.state.repositories[repo_id].commit(files, "refs/pr/1" if proposed else revision, parent)
        answer = {"success": True, "commitOid": sha, "commitUrl": f"{address}/commit/{sha}"}
        return answer | ({"pullRequestUrl": f"{address}/discussions/1"} if proposed else {}), {}

    def _create(self, wanted: dict) -> dict[str, str]:
        repo_id = f"{wanted['organization'] or 'tester'}/{wanted['name']}"
        answer = {"url": f"{self.state.url}/{repo_id}", "id": repo_id}
        if repo_id in self.state.repositories:
            raise Refusal(409, answer=answer)
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.state.commit(repo_id, {".gitattributes": b""}, readers={str(self.token)} if private else None)
        return answer

    def _find(self, repo_id: str, revision: str) -> tuple[str, Files]:
        """A commit and its files."""
        repository = self.state.repositories.get(repo_id)
        if repository is None or (repository.readers is not None and self.token not in repository.readers):
            raise Refusal(
                404 if self.token else 401, "RepoNotFound"
            )  # the Hub answers the same for a private and for a missing repository
        sha = repository.resolve(unquote(revision))
        if sha is None:
            raise Refusal(404, "RevisionNotFound")
        return sha, repository.commits[sha]

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the tests read `requests`."""


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # as git names it
