"""Words of names: short, of lower-case letters, digits and `-`."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compiler.base import digests
from compiler.fleet.catalogue import PREFIX

_HASH = 8
_SHOWN = 2
"""Values of a `match:` that a name spells out; of more, it gives the first and the number."""
_PLAIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Part = tuple[str, Any]
"""What a part of a name stands for, so that two parts with the same words can be told apart."""


def class_words(names: Iterable[str]) -> dict[str, str]:
    """The workspace's own classes have the shorter words where a built-in one is called the same."""
    listed = list(names)
    own = {name: slug(name) for name in listed if not name.startswith(PREFIX)}
    shipped = {name: slug(name.removeprefix(PREFIX)) for name in listed if name.startswith(PREFIX)}
    taken = set(own.values())
    return distinct(own | {name: f"builtin-{text}" if text in taken else text for name, text in shipped.items()})


def distinct(words: Mapping[Any, str]) -> dict[Any, str]:
    """Give what shares its words with another (or has none) a hash of what it stands for."""
    owners: dict[str, int] = defaultdict(int)
    for text in words.values():
        owners[text] += 1
    return {
        part: text if text and owners[text] == 1 else f"{text}-{_short_hash(part)}".lstrip("-")
        for part, text in words.items()
    }


def part_words(part: Part) -> str:
    """The words of a run, or of what overlays that do the same ask for."""
    kind, asked = part
    if kind == "run":
        return slug(asked)
    texts = ["-".join(_some(values) for _, values in labels) for labels in asked]
    return slug(_some(texts))


def _some(texts: Sequence[str]) -> str:
    if len(texts) <= _SHOWN:
        return "-".join(texts)
    return f"{texts[0]}-and-{len(texts) - 1}-more"


def _short_hash(value: Any) -> str:
    return digests.of_value(value).removeprefix("sha256:")[:_HASH]


def slug(text: str) -> str:
    """Lower-case ASCII letters, digits and `-`: what file systems and Kubernetes both take."""
    if _PLAIN.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def kebab(name: str) -> str:
    """`contextLength` → `context-length`."""
    return re.sub(r"[A-Z]", lambda found: f"-{found[0].lower()}", name)
