"""A small registry of the test's own on loopback, which misbehaves on demand, and who may use a real one."""

from __future__ import annotations

import base64
import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from compiler.base import digests

USER, PASSWORD = "till", "open sesame"
AUTH = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"


@dataclass
class Small:
    """A registry that follows the distribution specification and keeps what it got of a part that broke off.

    `cut`: bytes of a PATCH's body, or of a blob's answer, after which the connection ends; each is used once.
    `answers`: statuses with headers to give before anything else.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    lost: int = 0
    """How many answers to a finished upload get lost."""
    parts: bool = True
    """Whether it takes uploads in parts."""
    elsewhere: str = ""
    """Where blobs are fetched from instead."""
    said: list[str] = field(default_factory=list)
    """Method, path and range of each request."""
    authorizations: set[str] = field(default_factory=set)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Small

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self._begin():
            return
        kind, _, name = urlsplit(self.path).path.removeprefix("/v2/shop/").partition("/")
        if name.startswith("uploads/"):
            data = self.state.uploads.get(name.removeprefix("uploads/"))
            if data is None:
                self._answer(404, {})
                return
            self._answer(204, {"Range": f"0-{max(len(data) - 1, 0)}", "Location": self.path})
            return
        found = (self.state.blobs if kind == "blobs" else self.state.manifests).get(name)
        if found is None:
            self._answer(404, {}, b'{"errors": [{"code": "UNKNOWN", "message": "not here"}]}')
        elif kind == "blobs" and self.state.elsewhere and self.command == "GET":
            self._answer(307, {"Location": f"{self.state.elsewhere}{self.path}"})
        else:
            self._give(found, kind == "blobs")

    def do_POST(self) -> None:
        if not self._begin():
            self.state.uploads[name := str(len(self.state.uploads))] = b""
            self._answer(202, {"Location": f"/v2/shop/blobs/uploads/{name}?_state=a%2Bb"})

    def do_PATCH(self) -> None:
        if self._begin():
            return
        if not self.state.parts:
            self._answer(405, {}, self._body())
            return
        name = urlsplit(self.path).path.rpartition("/")[2]
        first = int(self.headers["Content-Range"].partition("-")[0])
        if first != len(self.state.uploads[name]):
            self._body()
            self._answer(416, {})
            return
        length = int(self.headers["Content-Length"])
        if self.state.cut:
            self.state.uploads[name] += self.rfile.read(min(self.state.cut.pop(0), length))
            self.close_connection = True
            return
        self.state.uploads[name] += self.rfile.read(length)
        last = len(self.state.uploads[name]) - 1
        self._answer(202, {"Range": f"0-{last}", "Location": self.path})

    def do_PUT(self) -> None:
        if self._begin():
            return
        split = urlsplit(self.path)
        body, name = self._body(), split.path.rpartition("/")[2]
        if "/manifests/" in split.path:
            self.state.manifests[name] = body
            self._answer(201, {"Docker-Content-Digest": digests.of_bytes(body)})
            return
        query = parse_qs(split.query)
        assert query["_state"] == ["a+b"]
        data = self.state.uploads.pop(name) + body
        if digests.of_bytes(data) != query["digest"][0]:
            self._answer(400, {})
            return
        self.state.blobs[query["digest"][0]] = data
        if self.state.lost:
            self.state.lost -= 1
            self.close_connection = True
            return
        self._answer(201, {"Docker-Content-Digest": query["digest"][0]})

    def _begin(self) -> bool:
        """Note the request; whether an answer was already given."""
        span = self.headers.get("Content-Range") or self.headers.get("Range") or ""
        self.state.said.append(f"{self.command} {urlsplit(self.path).path} {span}".rstrip())
        self.state.authorizations.add(self.headers.get("Authorization", ""))
        if not self.state.answers:
            return False
        self._body()
        self._answer(*self.state.answers.pop(0))
        return True

    def _give(self, data: bytes, is_blob: bool) -> None:
        begin = int(found[1]) if (found := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            if is_blob and self.state.cut:
                self.wfile.write(data[begin : begin + self.state.cut.pop(0)])
                self.close_connection = True
            else:
                self.wfile.write(data[begin:])

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """`127.0.0.1:PORT` with a server of this kind."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def small_registry(state: Small) -> Iterator[str]:
    """With one repository, `shop`."""
    with serving(type("Handler", (_Handler,), {"state": state})) as address:
        yield address
