"""The overlay of the highest rank decides, and two of that rank must agree."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.base.codes import Code
from compiler.fleet.levels import Levels
from tests.fleet.inventories import device, fleet_over

DEVICE = device("d1", values={"threads": 9}, region="eu", site="a", shift="night", floor="2")
HAS = {"class": "till", "region": "eu", "site": "a", "shift": "night", "floor": "2", "device": "d1"}
LEVEL = {"class": 1, "region": 2, "site": 3, "shift": 4, "floor": 4, "device": 5}
OVERLAYS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(sorted(HAS)), min_size=1, max_size=3, unique=True),
        st.integers(-1, 1),
        st.integers(1, 3),
    ),
    max_size=6,
)


@given(OVERLAYS, st.booleans())
@settings(max_examples=80, deadline=None)
def test_the_highest_rank_decides(overlays: list[tuple[list[str], int, int]], column: bool) -> None:
    """The definition, taken literally."""
    body = "    runs:\n      assistant: {model: chat@1.4.0, recipe: small, threads: 7}\n    overlays:\n"
    by_rank: dict[tuple[int, int], set[int]] = {(0, 0): {7}}
    for keys, priority, threads in overlays:
        match = ", ".join(f"{key}: '{HAS[key]}'" for key in keys)
        body += f"      - {{match: {{{match}}}, priority: {priority}, runs: {{assistant: {{threads: {threads}}}}}}}\n"
        by_rank.setdefault((max(LEVEL[key] for key in keys), priority), set()).add(threads)
    if column:
        by_rank.setdefault((5, 0), set()).add(9)
    plain = device("d1", region="eu", site="a", shift="night", floor="2")
    fleet, diagnostics = fleet_over([DEVICE if column else plain], body if overlays else body.replace("overlays:", ""))
    if any(len(values) > 1 for values in by_rank.values()):
        assert {diagnostic.code for diagnostic in diagnostics} == {Code.OVERLAY_CONFLICT}
    else:
        assert diagnostics == []
        assert {fleet.cohorts[0].runs[0].threads} == by_rank[max(by_rank)]


def test_a_label_may_have_the_name_of_a_level() -> None:
    levels = Levels.of(["region", "site"])
    assert [levels.level({key: "x"}) for key in ("class", "region", "site", "label", "fleet", "device")] == [
        1, 2, 3, 4, 4, 5,
    ]  # fmt: skip
    assert levels.level({}) == 0
