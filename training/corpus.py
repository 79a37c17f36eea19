"""The text: the language reference that every CPython carries, split into train, development and held-out.

`pydoc_data.topics` maps a topic ("assert", "class", …) to a page of plain text. Pages repeat whole
paragraphs of each other, so paragraphs are made unique first and split afterwards: no paragraph of
one part stands in another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SECTION_CHARACTERS = 4000
"""A section is cut at a paragraph's end beyond this, so that one long page is not wholly in one part."""
HELD_OUT_SHARE = 0.1
DEVELOPMENT_SHARE = 0.05
"""Of the training text; decides when training stops, never measured for a report."""

_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_UNDERLINE = re.compile(r"[*=\-~^\"]{3,}")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Sections of the text in their order in the reference."""

    train: tuple[str, ...]
    development: tuple[str, ...]
    held_out: tuple[str, ...]


def read() -> Corpus:
    """The corpus of the running CPython; another version of CPython gives another text."""
    from pydoc_data.topics import topics

    return split(sections(topics[name] for name in sorted(topics)))


def paragraphs(text: str) -> list[str]:
    """Paragraphs of a page without its trailing blanks; blank lines part them."""
    found = ("\n".join(line.rstrip() for line in part.split("\n")) for part in _BLANK.split(text.strip("\n")))
    return [part for part in found if part.strip()]


def identity(paragraph: str) -> str:
    """What makes two paragraphs the same: their words, whatever the indent and the line breaks."""
    return " ".join(paragraph.split())


def sections(pages: Iterable[str]) -> list[str]:
    """Runs of neighbouring paragraphs, begun anew at each page, heading and after `SECTION_CHARACTERS`.

    Each paragraph appears once, where it is met first.
    """
    seen: set[str] = set()
    found: list[list[str]] = []
    for page in pages:
        current: list[str] = []
        found.append(current)
        for paragraph in paragraphs(page):
            if identity(paragraph) in seen:
                continue
            seen.add(identity(paragraph))
            if current and (_is_heading(paragraph) or sum(map(len, current)) > SECTION_CHARACTERS):
                current = []
                found.append(current)
            current.append(paragraph)
    return ["\n\n".join(part) + "\n" for part in found if part]


def split(parts: list[str]) -> Corpus:
    """Take whole sections, in the order of their sha256, until each part has its share of the characters."""
    order = sorted(parts, key=lambda part: hashlib.sha256(part.encode()).digest())
    total = sum(map(len, parts))
    held_out = _take(order, HELD_OUT_SHARE * total)
    rest = [part for part in order if part not in held_out]
    development = _take(rest, DEVELOPMENT_SHARE * total)
    return Corpus(
        train=tuple(part for part in parts if part not in held_out and part not in development),
        development=tuple(part for part in parts if part in development),
        held_out=tuple(part for part in parts if part in held_out),
    )


def write_held_out(texts: Iterable[str], path: Path) -> None:
    """JSON Lines, one `{"text": …}` per section, UTF-8 with LF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def _take(order: list[str], characters: float) -> set[str]:
    taken: set[str] = set()
    size = 0
    for part in order:
        if size >= characters:
            break
        taken.add(part)
        size += len(part)
    return taken


def _is_heading(paragraph: str) -> bool:
    lines = paragraph.split("\n")
    return len(lines) >= 2 and _UNDERLINE.fullmatch(lines[1]) is not None
