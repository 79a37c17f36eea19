"""The matcher finds what asking each clause by itself finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compiler.fleet.devices import Device
from compiler.fleet.match import Clause, Matcher
from tests.values import PLACE

WORD = st.sampled_from(["a", "b", "c"])
KEY = st.sampled_from(["class", "device", "site", "floor"])
CLAUSES = st.lists(st.dictionaries(KEY, st.lists(WORD, max_size=3) | WORD, max_size=3), max_size=6)
DEVICE = st.builds(
    lambda id, kind, labels: Device(id, kind, tuple(sorted(labels.items())), PLACE),
    WORD,
    WORD,
    st.dictionaries(st.sampled_from(["site", "floor"]), WORD),
)


def matches(clause: Clause, device: Device) -> bool:
    """The definition, taken literally."""
    has = {**dict(device.labels), "class": device.device_class, "device": device.id}
    return all(has.get(key) in values for key, values in clause.match.items())


@given(CLAUSES, DEVICE)
def test_matcher_agrees_with_the_definition(matches_of: list[dict[str, str | list[str]]], device: Device) -> None:
    clauses = [Clause.of(("fleets", "f", "overlays", number), match) for number, match in enumerate(matches_of)]
    expected = [number for number, clause in enumerate(clauses) if matches(clause, device)]
    assert Matcher(clauses).clauses_of(device) == tuple(expected)
