"""A repository of an OCI registry, by the OCI distribution specification 1.1."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import IO, BinaryIO, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from compiler.artifact.artifact import File
from compiler.artifact.store import layout
from compiler.base import digests
from compiler.base.codes import Code
from compiler.publish.destination import Repository
from compiler.publish.failed import Failed
from compiler.publish.patience import Broken, Patience
from compiler.publish.remote import Told
from compiler.publish.transport import Answer, Body, Transport, next_piece, whole

CHUNK = 16 * 2**20
"""Bytes of one PATCH. A broken connection costs no more than that, where the registry keeps what it got."""

_DIGEST = "Docker-Content-Digest"
_GONE = (400, 404, 416)
_TEXT = 200


class _Gone(Exception):
    """The registry does not know the upload, or its place in it, any more."""


class _Whole(Exception):
    """The registry takes no parts."""


@dataclass(slots=True)
class Registry:
    repository: Repository
    transport: Transport
    patience: Patience
    chunk: int = CHUNK
    _whole: bool = field(default=False, init=False)

    def has(self, blob: File) -> bool:
        answer = self._ask("HEAD", f"blobs/{blob.digest}")
        if answer.status == 404:
            return False
        self._expect(answer, 200)
        length = answer.headers.get("Content-Length", "")
        return not length.isdecimal() or int(length) == blob.size

    def upload(self, blob: File, source: BinaryIO, told: Told) -> None:
        self.patience.progress()
        if blob.size > self.chunk and not self._whole:
            try:
                self._upload_parts(blob, source, told)
            except _Whole:
                self._whole = True
        if blob.size <= self.chunk or self._whole:
            self._upload_whole(blob, source)
        told(blob.size)
        if not self.has(blob):
            raise Failed(Code.BLOB_DIFFERS, f"The registry took blob {blob.digest} and does not have it.")

    def has_manifest(self, tag: str, digest: str) -> bool:
        answer = self._ask("HEAD", f"manifests/{tag}", {"Accept": layout.MANIFEST})
        if answer.status == 200 and _DIGEST not in answer.headers:
            return digests.of_bytes(self.manifest(tag) or b"") == digest
        if answer.status not in (200, 404):
            self._expect(answer, 200)
        return answer.status == 200 and answer.headers[_DIGEST] == digest

    def put_manifest(self, tag: str, manifest: bytes) -> None:
        answer = self._ask("PUT", f"manifests/{tag}", {"Content-Type": layout.MANIFEST}, manifest)
        self._expect(answer, 201)
        self._compare(answer, digests.of_bytes(manifest))

    def manifest(self, tag: str) -> bytes | None:
        answer = self._ask("GET", f"manifests/{tag}", {"Accept": layout.MANIFEST})
        if answer.status == 404:
            return None
        self._expect(answer, 200)
        return answer.body

    def pieces(self, blob: File, offset: int) -> Generator[bytes, None, None]:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.transport.once("GET", self._path(f"blobs/{blob.digest}"), headers)
        if response.status == 404:
            whole(response)
            raise Failed(Code.BLOB_ABSENT, f"`{self.repository}` does not have blob {blob.digest}.")
        if response.status == 416:
            whole(response)
            return
        if response.status not in (200, 206):
            self._expect(whole(response), 200)
        try:
            skip = _skip(response.headers, offset) if response.status == 206 else offset
            while piece := next_piece(response):
                yield piece[skip:]
                skip = max(0, skip - len(piece))
        finally:
            response.close()

    def _upload_whole(self, blob: File, source: BinaryIO) -> None:
        """In one request, from its beginning each time that it breaks."""
        while True:
            try:
                url = _with_digest(self._begin(), blob.digest)
                answer = whole(self.transport.once("PUT", url, _octets(blob.size), _window(source, 0, blob.size)))
                self._expect(answer, 201)
                self._compare(answer, blob.digest)
                return
            except Broken as broken:
                self.patience.wait(broken)
            if self._took(blob):
                return

    def _upload_parts(self, blob: File, source: BinaryIO, told: Told) -> None:
        """In parts, going on from where the registry says it is when the connection broke. Raises _Whole."""
        location, offset, furthest, broken = "", 0, 0, False
        while True:
            try:
                if location:
                    location, offset = self._status(location)
                else:
                    location, offset = self._begin(), 0
                while offset < blob.size:
                    location, offset = self._append(location, source, offset, blob.size)
                    told(offset)
                    if offset > furthest:  # an upload that begins anew again and again ends
                        furthest = offset
                        self.patience.progress()
                self._finish(location, blob.digest)
                return
            except Broken as why:
                broken = True
                self.patience.wait(why)
            except _Gone as why:
                if not broken:
                    raise _Whole from None
                location = ""
                self.patience.wait(Broken(str(why)))
                if self._took(blob):
                    return

    def _took(self, blob: File) -> bool:
        """Whether the registry finished an upload, and only its answer was lost."""
        try:
            return whole(self.transport.once("HEAD", self._path(f"blobs/{blob.digest}"))).status == 200
        except Broken:
            return False

    def _finish(self, location: str, digest: str) -> None:
        answer = whole(self.transport.once("PUT", _with_digest(location, digest), _octets(0)))
        if answer.status in _GONE:
            raise _Gone(f"The registry does not finish an upload: {_said(answer)}")
        self._expect(answer, 201)
        self._compare(answer, digest)

    def _begin(self) -> str:
        answer = self._ask("POST", "blobs/uploads/", {"Content-Length": "0"})
        self._expect(answer, 202)
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        if least.isdecimal():
            self.chunk = max(self.chunk, int(least))
        return self._location(answer, self._path("blobs/uploads/"))

    def _append(self, location: str, source: BinaryIO, offset: int, size: int) -> tuple[str, int]:
        """Send the part at `offset`; where the upload goes on. Raises Broken, _Gone."""
        end = min(offset + self.chunk, size)
        headers = _octets(end - offset) | {"Content-Range": f"{offset}-{end - 1}"}
        answer = whole(self.transport.once("PATCH", location, headers, _window(source, offset, end)))
        if answer.status == 202:
            reached = _reached(answer) or end
            if reached <= offset:
                raise _Gone("The registry takes a part of an upload and does not keep it")
            return self._location(answer, location), reached
        if answer.status in (401, 403):
            self._expect(answer, 202)
        raise _Gone(f"The registry does not take a part of an upload: {_said(answer)}")

    def _status(self, location: str) -> tuple[str, int]:
        """Where an upload is. Raises Broken, _Gone."""
        answer = whole(self.transport.once("GET", location))
        if answer.status not in (202, 204):
            raise _Gone(f"The registry forgot an upload: {_said(answer)}")
        return self._location(answer, location), _reached(answer)

    def _location(self, answer: Answer, before: str) -> str:
        return answer.headers.get("Location") or before

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        self.patience.progress()
        return self.transport.patiently(method, self._path(path), headers, body, self.patience)

    def _path(self, path: str) -> str:
        return f"/v2/{self.repository.name}/{path}"

    def _expect(self, answer: Answer, status: int) -> None:
        if answer.status == status:
            return
        if answer.status in (401, 403):
            raise Failed(
                Code.REGISTRY_REFUSED,
                f"`{self.repository}` refuses access ({_said(answer)}).",
                "Log in with `docker login` or `podman login`; `slmc explain SLM810` says where else to put them.",
            )
        raise Failed(Code.REGISTRY_REFUSED, f"`{self.repository}` answers {_said(answer)}.")

    def _compare(self, answer: Answer, digest: str) -> None:
        said = answer.headers.get(_DIGEST, digest)
        if said != digest:
            raise Failed(Code.BLOB_DIFFERS, f"The registry got {said[:80]} where {digest} was sent.")


class _Window(io.RawIOBase):
    """A part of a file, from `position` up to `end`."""

    def __init__(self, source: BinaryIO, position: int, end: int) -> None:
        self._source, self._position, self._end = source, position, end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        left = self._end - self._position
        self._source.seek(self._position)
        data = self._source.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data


def _window(source: BinaryIO, begin: int, end: int) -> Body:
    return lambda: cast("IO[bytes]", _Window(source, begin, end))


def _octets(length: int) -> dict[str, str]:
    return {"Content-Length": str(length), "Content-Type": "application/octet-stream"}


def _with_digest(location: str, digest: str) -> str:
    split = urlsplit(location)
    query = [*parse_qsl(split.query, keep_blank_values=True), ("digest", digest)]
    return urlunsplit(split._replace(query=urlencode(query)))


def _reached(answer: Answer) -> int:
    """Bytes that the registry has, by `Range: 0-LAST`; 0 where it does not say. `0-0` may be none or one: none."""
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found and found[1] != "0" else 0


def _skip(headers: Mapping[str, str], offset: int) -> int:
    """Bytes of an answer in parts that are known already: some registries begin earlier than they were asked to."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    begin = int(found[1]) if found else offset
    if begin > offset:
        raise Failed(Code.REGISTRY_REFUSED, "The registry gives another part of a blob than it was asked for.")
    return offset - begin


def _said(answer: Answer) -> str:
    """Status and, where there is one, the registry's own word: `403 DENIED: requested access is denied`."""
    try:
        error = json.loads(answer.body)["errors"][0]
        words = ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
    except (ValueError, LookupError, TypeError, AttributeError):
        words = ""
    return f"{answer.status} {''.join(filter(str.isprintable, words))[:_TEXT]}".rstrip()
