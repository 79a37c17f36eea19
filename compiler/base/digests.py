"""sha256 digests in the OCI form `sha256:<64 hex>`, of bytes, files and plain values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def of_bytes(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """The digest of a file, read in pieces: memory stays flat for files of any size."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def canonical(value: Any) -> bytes:
    """Plain JSON data as bytes: sorted keys, no blanks, UTF-8, one form for one value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def of_value(value: Any) -> str:
    return of_bytes(canonical(value))


def pretty(value: Any) -> bytes:
    """Plain JSON data for people and for `git diff`: sorted keys, one value a line."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
