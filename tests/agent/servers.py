"""What a device talks to, on loopback: a registry's blobs, the health of its runs, git over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext


class Registry:
    """Gives blobs as `/v2/REPOSITORY/blobs/sha256:HEX` with ranges; `fault` says what it does wrong.

    cut: closes after so many bytes of each answer. corrupt: the last byte is another, as often as `times`.
    no-ranges: gives the whole blob whatever was asked for. token: wants a token that /token gives. elsewhere:
    sends to `storage`, where blobs lie without a token.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.fault = ""
        self.times = 0
        self.cut = 0
        self.storage = ""
        self.asked: list[tuple[str, str]] = []
        self.unknown: list[str] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/token?"):
            return send(request, 200, json.dumps({"expires_in": 300, "token": "opens-it"}).encode())
        match = re.fullmatch(r"/(?:v2/slm/shop/blobs|storage)/sha256:([0-9a-f]{64})", request.path)
        if match is None or match[1] not in self.blobs:
            self.unknown.append(request.path)
            return send(request, 404, b"")
        self.asked.append((match[1], request.headers.get("Range", "")))
        if self.fault == "token" and request.headers.get("Authorization") != "Bearer opens-it":
            at = (
                f'Bearer realm="http://{request.headers["Host"]}/token",service="here",scope="repository:slm/shop:pull"'
            )
            return send(request, 401, b"", {"WWW-Authenticate": at})
        if self.fault == "elsewhere" and not request.path.startswith("/storage/"):
            return send(request, 307, b"", {"Location": f"{self.storage}/storage/sha256:{match[1]}"})
        return self._blob(request, self.blobs[match[1]])

    def _blob(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        if self.fault == "corrupt" and self.times > 0:
            self.times -= 1
            data = data[:-1] + bytes([data[-1] ^ 1])
        start = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if start is None or self.fault == "no-ranges":
            return send(request, 200, data, cut=self.cut)
        first = int(start[1])
        if first >= len(data):
            return send(request, 416, b"")
        headers = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        return send(request, 206, data[first:], headers, self.cut)


class Health:
    """Answers for the runs of the device in `root`, as its stub of systemctl left word in `running/`."""

    def __init__(self) -> None:
        self.root = Path()
        self.foreign = False
        """Whether the server knows nothing of bundles, as those of others."""

    def answers(self, unit: str) -> str:
        """The bundle that the unit serves, if it does."""
        running = self.root / "running" / unit
        broken = (self.root / "running" / f"{unit}.broken").exists()
        return running.read_text() if running.is_file() and not broken else ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        bundle = self.answers(request.path.split("/")[1])
        if not bundle:
            return send(request, 503, b'{"status": "golden answers differ"}')
        if self.foreign:
            return send(request, 200, b'{"status":"ok"}')
        return send(request, 200, json.dumps({"status": "ready", "bundle": bundle, "run": "counter"}).encode())


class GitOverHttp:
    """git's own `http-backend` below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        said = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, data = said.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        send(request, int(headers.pop("Status", "200").split()[0]), data, headers)


def send(
    request: BaseHTTPRequestHandler, code: int, data: bytes, headers: dict[str, str] | None = None, cut: int = 0
) -> None:
    request.send_response(code)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: cut or None])
    request.close_connection = True


@contextmanager
def served(what: Registry | Health | GitOverHttp, tls: SSLContext | None = None) -> Iterator[int]:
    """The port on loopback at which `what` answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            what.answer(self)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
