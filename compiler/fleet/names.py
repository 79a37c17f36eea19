"""Names of cohorts: readable, safe as file names, and the same whatever the other cohorts are."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compiler.base import digests
from compiler.fleet.catalogue import PREFIX
from compiler.fleet.layers import OverlayLayer, RunLayer

_LONGEST = 50
_HASH = 8
_SHOWN = 2
"""Values of a `match:` that a name spells out; of more, it gives the first and the number."""

Part = tuple[str, Any]
"""What a part of a name stands for, so that two parts with the same words can be told apart."""


class Names:
    """Makes names out of the blueprint alone, never out of which devices there are.

    A name is the device class, the runs that ask for labels, and what the overlays that
    make a difference ask for: `pi-5-8g-berlin-3`. Overlays that set the same values count as
    one. A short hash follows words that another part of the fleet has too.
    """

    def __init__(self, classes: Iterable[str], runs: Sequence[RunLayer], overlays: Sequence[OverlayLayer]) -> None:
        self._classes = _class_words(classes)
        self._runs: dict[str, Part] = {run.name: ("run", run.name) for run in runs if run.clause.labels}
        self._overlays: dict[int, Part] = {}
        asked: dict[str, list[Any]] = defaultdict(list)
        for overlay in overlays:
            if overlay.clause.labels:
                asked[_effect(overlay)].append(tuple(sorted(overlay.clause.labels.items())))
        for number, overlay in enumerate(overlays):
            if overlay.clause.labels:
                self._overlays[number] = ("overlay", tuple(asked[_effect(overlay)]))
        parts = {*self._runs.values(), *self._overlays.values()}
        self._words = _distinct({part: _words(part) for part in parts})

    def name(self, device_class: str, runs: Iterable[str], overlays: Iterable[int]) -> str:
        """The name of a cohort by its class, the runs on it, and the overlays that make its values."""
        parts = [self._runs[run] for run in runs if run in self._runs]
        parts += [self._overlays[number] for number in sorted(overlays) if number in self._overlays]
        name = "-".join([self._classes[device_class], *(self._words[part] for part in dict.fromkeys(parts))])
        if len(name) <= _LONGEST:
            return name
        return f"{name[: _LONGEST - _HASH - 1].rstrip('-')}-{short_hash(name)}"


def short_hash(value: Any) -> str:
    return digests.of_value(value).removeprefix("sha256:")[:_HASH]


def _effect(overlay: OverlayLayer) -> str:
    """Equal for overlays that set the same values."""
    values = {run: {key: value for key, (value, _) in layer.items()} for run, layer in overlay.values.items()}
    return digests.of_value(values)


def _distinct(words: Mapping[Any, str]) -> dict[Any, str]:
    """Give what shares its words with another (or has none) a hash of what it stands for."""
    owners: dict[str, int] = defaultdict(int)
    for text in words.values():
        owners[text] += 1
    return {
        part: text if text and owners[text] == 1 else f"{text}-{short_hash(part)}".lstrip("-")
        for part, text in words.items()
    }


def _words(part: Part) -> str:
    kind, asked = part
    if kind == "run":
        return _slug(asked)
    texts = ["-".join(_some(values) for _, values in labels) for labels in asked]
    return _slug(_some(texts))


def _some(texts: Sequence[str]) -> str:
    if len(texts) <= _SHOWN:
        return "-".join(texts)
    return f"{texts[0]}-and-{len(texts) - 1}-more"


def _class_words(names: Iterable[str]) -> dict[str, str]:
    """The workspace's own classes have the shorter words where a built-in one is called the same."""
    listed = list(names)
    own = {name: _slug(name) for name in listed if not name.startswith(PREFIX)}
    shipped = {name: _slug(name.removeprefix(PREFIX)) for name in listed if name.startswith(PREFIX)}
    taken = set(own.values())
    return _distinct(own | {name: f"builtin-{text}" if text in taken else text for name, text in shipped.items()})


def _slug(text: str) -> str:
    """Lower-case ASCII letters, digits and `-`: what file systems and Kubernetes both take."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
