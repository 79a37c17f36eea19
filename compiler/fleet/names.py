"""Names of cohorts: readable, safe as file names, and the same whatever the other cohorts are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from compiler.base.units import exact_bytes
from compiler.fleet.explain import Explainer
from compiler.fleet.fields import PRIVACY, Field
from compiler.fleet.layers import Layers
from compiler.fleet.settle import Settled
from compiler.fleet.words import Part, class_words, distinct, kebab, part_words, slug

_LONGEST = 50
_HASH = 12
"""Hex digits. Among 100,000 cohorts whose words are all the same, two share them once in 56,000 fleets."""
_SHOWN = 2
"""Values that a name spells out, of those that neither the class nor an overlay explains."""
_SIZES = ("memory", "storage", "memoryLimit")
_EXACT = ("threads", "contextLength", "memoryLimit", "serve.port")
"""Numbers, which a word tells whole."""
_VALUE_WORD = re.compile(
    r"arch-(arm64|amd64)|(cores|systemd)-[0-9]+|podman-[0-9]+-[0-9]+|(memory|storage)-[0-9]+[kmgt]?i?b"
    r"|(.+-)?((threads|context-length|port)-[0-9]+|memory-limit-[0-9]+[kmgt]?i?b)"
)

Facts = tuple[tuple[str, Any], ...]


class Names:
    """Makes names out of the blueprint and the configuration, never out of which devices there are.

    A name is the device class, the runs that ask for labels, what the overlays ask for that
    explain the configuration, facts and values that nothing explains: `pi-5-8g-berlin-3`.
    Overlays that do the same count as one. Where words can mean two things, or tell only a part, a hash
    follows of all that explains the configuration: of what the overlays ask for, and of the values that
    none explains. A cohort keeps its name when runs and overlays say something else.
    """

    def __init__(self, classes: Iterable[str], layers: Layers, explainer: Explainer) -> None:
        self._classes = class_words(classes)
        self._explainer = explainer
        runs: dict[str, Part] = {run.scope: ("run", run.name) for run in layers.runs if run.clause.asks_more}
        self._several = len(layers.runs) > 1
        parts = [*runs.values(), *(effect.part for effect in explainer.effects)]
        words = distinct({part: part_words(part) for part in parts})
        self._run_words = {scope: words[part] for scope, part in runs.items()}
        self._effect_words = [words[effect.part] for effect in explainer.effects]
        self._identities = [repr(one) for one in _numbered([effect.part for effect in explainer.effects])]
        self._vocabulary = {*words.values()}
        self._starts = {*self._classes.values()}
        self._fields: dict[Field, str] = {}
        self._sure: dict[tuple[str, ...], bool] = {}

    def name(self, device_class: str, settled: Settled, facts: Facts) -> str:
        """The name of the cohort of a class with this configuration and these `facts` in place of the class's."""
        reason = self._explainer.explain(device_class, settled)
        exact = len(reason.left) + len(facts) <= _SHOWN and all(field.field in _EXACT for field in reason.left)
        if reason.found and not exact:
            reason = reason.guess()
        words = [self._classes[device_class]]
        words += [self._run_words[scope] for scope in settled.runs if scope in self._run_words]
        words += [self._effect_words[effect] for effect in reason.effects]
        words += [f"{name}-{_written(name, value)}" for name, value in facts[:_SHOWN]]
        left = sorted(reason.left.items())
        if left and len(facts) < _SHOWN:
            words += [self._value_words(field, value) for field, value in left[: _SHOWN - len(facts)]]
        text = "-".join(words)
        if exact and len(text) <= _LONGEST and self._is_sure(tuple(words)):
            return text
        effects = ", ".join([self._identities[effect] for effect in reason.effects])
        why = f"({device_class!r}, {list(settled.runs)!r}, ([{effects}], {reason.undone!r}, {left!r}), {facts!r})"
        identity = sha256(why.encode("utf-8", "backslashreplace"))
        return f"{_cut(text)}-{identity.hexdigest()[:_HASH]}"

    def _value_words(self, field: Field, value: Any) -> str:
        words = self._fields.get(field)
        if words is None:
            scope = f"{slug(field.scope.partition('.')[2])}-" if self._several and field.scope != PRIVACY else ""
            name = slug(field.name) if field.name else kebab(field.field.rpartition(".")[2])
            words = self._fields[field] = f"{scope}{name}".strip("-")
        return f"{words}-{_written(field.field, value)}".strip("-")

    def _is_sure(self, words: tuple[str, ...]) -> bool:
        """Whether the words can be read in one way only. `pi` at `5-a` reads as `pi-5` at `a`, if both are there."""
        if words not in self._sure:
            self._sure[words] = self._readings("-".join(words).split("-")) == 1
        return self._sure[words]

    def _readings(self, pieces: list[str]) -> int:
        """In how many ways the pieces make a class and words of this fleet."""
        ways = [0] * len(pieces) + [1]
        for start in range(len(pieces) - 1, 0, -1):
            for end in range(start + 1, len(pieces) + 1):
                if ways[end]:
                    text = "-".join(pieces[start:end])
                    ways[start] += ways[end] * ((text in self._vocabulary) + bool(_VALUE_WORD.fullmatch(text)))
        return sum(ways[end] for end in range(1, len(pieces) + 1) if "-".join(pieces[:end]) in self._starts)


def _cut(text: str) -> str:
    """As many whole words as leave room for a hash behind them."""
    room = _LONGEST - _HASH - 1
    if len(text) <= room:
        return text
    whole, _, _ = text[: room + 1].rpartition("-")
    return whole or text[:room]


def _numbered(parts: Iterable[Part]) -> Iterator[tuple[Part, int]]:
    """Each part, and how many before it are equal: overlays may ask for the same and do different things."""
    seen: Counter[Part] = Counter()
    for part in parts:
        yield part, seen[part]
        seen[part] += 1


def _written(name: str, value: Any) -> str:
    """The value as words; a size in its largest exact unit."""
    if isinstance(value, int) and not isinstance(value, bool):
        return slug(exact_bytes(value)) if name in _SIZES else str(value)
    if isinstance(value, tuple):
        return slug("-".join(map(str, value)))[:20].strip("-")
    return slug("none" if value is None else str(value))[:20].strip("-")
