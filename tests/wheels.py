"""Wheels that tests make, and an index of their own for pip: no network is needed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

METADATA = "Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n\nA model.\n"


def wheel(folder: Path, files: Mapping[str, bytes], name: str = "tiny_model", version: str = "1.0") -> Path:
    """A wheel with these files, and what pip wants in it."""
    info = f"{name}-{version}.dist-info"
    metadata = METADATA.format(name=name.replace("_", "-"), version=version)
    entries = {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
        **files,
    }
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in entries.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    path.write_bytes(data.getvalue())
    return path


def use_index(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let pip find the wheels in `folder`, and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", "PIP_REQUIRE_HASHES"):
        monkeypatch.delenv(name, raising=False)
