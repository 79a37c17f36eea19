"""Case files: prose, files and expected output in one text (after Go's txtar).

Prose.
-- HEAD:path/of/file --
content that is committed before
-- path/of/file (variant) --
content
-- expected --
output
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.repositories import commit_all

HEAD = "HEAD:"
"""Begins the names of files that are in the first commit of a repository."""

_MARKER = re.compile(r"^-- (\S+)(?: \(([a-z0-9-]+)\))? --$")
_ENCODERS = {
    "": str.encode,
    "latin-1": lambda text: text.encode("latin-1"),
    "bom": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "no-eol": lambda text: text.removesuffix("\n").encode(),
    "hex": lambda text: bytes.fromhex(text),
}


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    variant: str
    text: str

    @property
    def data(self) -> bytes:
        return _ENCODERS[self.variant](self.text)


@dataclass(frozen=True, slots=True)
class Archive:
    prose: str
    sections: tuple[Section, ...]

    @classmethod
    def parse(cls, text: str) -> Archive:
        prose: list[str] = []
        sections: list[Section] = []
        lines: list[str] = prose
        heads: list[tuple[str, str, list[str]]] = []
        for line in text.splitlines(keepends=True):
            if found := _MARKER.match(line.rstrip("\n")):
                lines = []
                heads.append((found[1], found[2] or "", lines))
            else:
                lines.append(line)
        sections = [Section(name, variant, "".join(content)) for name, variant, content in heads]
        return cls("".join(prose), tuple(sections))

    def get(self, name: str, default: str = "") -> str:
        return next((section.text for section in self.sections if section.name == name), default)

    def write_files(self, folder: Path) -> None:
        """Write every section that is a file below `folder`, over those of its first commit if it has one."""
        names = [section.name for section in self.sections if section.name not in ("command", "expected")]
        committed = {name: name.removeprefix(HEAD) for name in names if name.startswith(HEAD)}
        if committed:
            self._write(folder, committed)
            commit_all(folder)
        self._write(folder, {name: name for name in names if name not in committed})

    def _write(self, folder: Path, names: Mapping[str, str]) -> None:
        for section in self.sections:
            if section.name in names:
                path = folder / names[section.name]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(section.data)

    def with_expected(self, expected: str) -> str:
        """The archive's text with another `expected` section at its end."""
        parts = [self.prose]
        for section in self.sections:
            if section.name != "expected":
                variant = f" ({section.variant})" if section.variant else ""
                parts.append(f"-- {section.name}{variant} --\n{section.text}")
        return "".join(parts) + f"-- expected --\n{expected}"
