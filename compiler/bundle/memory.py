"""Filters that remember: the same few texts are written into every bundle of a fleet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2.filters import do_dictsort

TEXT_FILTERS = (
    "comment", "dns_label", "env", "json", "label_value", "nft", "shell", "systemd", "yaml", "tojson",
)  # fmt: skip
"""The filters, slmc's own and one of Jinja's, that make text of text and of nothing else but it."""


class Memory(dict[str, str]):
    """What a filter of TEXT_FILTERS made of which text: `memory[text]`. Only exact `str` may be a key."""

    __slots__ = ("_filter",)

    def __init__(self, filter: Callable[[str], str]) -> None:
        super().__init__()
        self._filter = filter

    def __missing__(self, text: str) -> str:
        made = self._filter(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[text] = made
        return made


_MOST_REMEMBERED, _LONGEST_REMEMBERED = 20_000, 200
"""Texts, and characters of one: some megabytes at most."""


def dictsort(value: Any, *arguments: Any, **options: Any) -> Any:
    """Jinja's `dictsort`, which sorts keys of the same dicts again and again for each run."""
    if arguments or options or type(value) is not dict:
        return do_dictsort(value, *arguments, **options)
    items = list(value.items())
    keys = tuple(value)
    order = _ORDERS.get(keys)
    if order is None:
        if not all(type(key) is str for key in keys):
            return do_dictsort(value)
        order = sorted(range(len(keys)), key=lambda index: keys[index].lower())
        if order == list(range(len(keys))):
            order = []
        if len(_ORDERS) >= 1000:
            _ORDERS.clear()
        _ORDERS[keys] = order
    return [items[index] for index in order] if order else items


_ORDERS: dict[tuple[str, ...], list[int]] = {}
"""By the keys of a dict, which of them comes first, second, …; nothing where they are in order."""
