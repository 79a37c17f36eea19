"""The comment holds its limit whatever the names, and its count of what it left out is exact."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.plan.changes import Change, Difference, Kind, Subject, Value
from compiler.plan.review import Against, BundleChange, Review
from compiler.report.plan_markdown import LIMIT, MARKER, fit, plan_markdown
from compiler.report.plan_rows import Named, Row, Section, sections
from tests.values import PLACE

NASTY = "|`\\<>&@#*_[]()\n\r\t\0😀\u202e\u2028ä x"


def review(changes: tuple[Change, ...], bundles: tuple[BundleChange, ...] = ()) -> Review:
    return Review(Against("main", "a" * 40), Difference(changes, 10, 5), (), bundles, {}, ())


def removals(number: int, name: str) -> tuple[Change, ...]:
    return tuple(
        Change(Kind.REMOVE, Subject.RUN, f"{name}{n}", f"fleet-{n % 7}", n + 1, was=PLACE) for n in range(number)
    )


def values(number: int, name: str) -> tuple[Change, ...]:
    return tuple(
        Change(
            Kind.CHANGE, Subject.VALUES, "", name, 3, (Value(f"runs.{name}.x{n}", name, f"{name}{n}", 3),), place=PLACE
        )
        for n in range(number)
    )


def _number(text: str) -> int:
    return int(text.replace(",", ""))


names = st.text(alphabet=st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cs"])), max_size=200)


@settings(max_examples=60, deadline=None)
@given(names, st.integers(0, 400), st.integers(0, 400), st.integers(1_000, LIMIT))
def test_limit_holds_and_nothing_goes_uncounted(name: str, gone: int, changed: int, limit: int) -> None:
    found = review((*removals(gone, name), *values(changed, name)))
    text = plan_markdown(found, [], limit)
    assert len(text) <= limit
    assert text.startswith(MARKER)
    listed = sections(found)
    parts = fit(listed, limit)
    for section, part in zip(listed, parts, strict=True):
        rows = part.text.count("\n| ") - 1 if part.text else 0
        grouped = section.title == "Removals" and part.left == 0 and rows != len(section.rows)
        counted = sum(map(_number, re.findall(r"^\| ([\d,]+) × run", part.text, re.MULTILINE))) if grouped else rows
        assert counted + part.left == len(section.rows)


def test_removals_come_before_everything_else() -> None:
    text = plan_markdown(review((*removals(300, "a"), *values(3_000, "b"))), [])
    assert text.count("| run `a") == 300
    shown = text.count("| `runs.b")
    assert 0 < shown < 3_000
    assert f"**Left out, since a comment is not longer:** {3_000 - shown:,} changes. `slmc plan` shows all." in text


def test_short_sections_stay_beside_long_ones() -> None:
    bundles = (BundleChange(Kind.ADD, "shops", "pi", ("container",)),)
    text = plan_markdown(review(values(5_000, "b"), bundles), [])
    assert text.index("#### Bundles (1)") > text.index("Changes (5,000)")
    assert "bundle line" not in text


@pytest.mark.parametrize(("number", "groups"), [(5_000, 7)])
def test_removals_that_do_not_fit_are_counted_together(number: int, groups: int) -> None:
    text = plan_markdown(review((*removals(number, "a" * 50), *values(2, "b"))), [])
    counted = [_number(found) for found in re.findall(r"^\| ([\d,]+) × run \|", text, re.MULTILINE)]
    assert (len(counted), sum(counted)) == (groups, number)
    assert "#### Removals (5,000)" in text
    assert "Left out" not in text
    assert "`runs.b" in text


def test_fleets_too_many_to_name_are_counted_too() -> None:
    changes = tuple(Change(Kind.REMOVE, Subject.FLEET, f"{'😀' * 90}{n}", f"{'😀' * 90}{n}", 2) for n in range(3_000))
    text = plan_markdown(review(changes), [])
    assert "| 3,000 × fleet | 6,000 |" in text
    assert len(text) <= LIMIT


def test_many_bundles_are_counted_by_fleet() -> None:
    bundles = tuple(BundleChange(Kind.ADD, "shops", f"c-{n}", ("container", "systemd")) for n in range(40))
    assert "| create 80 bundles of 40 cohorts of `shops` |" in plan_markdown(review((), bundles), [])


@given(names)
def test_a_name_ends_no_cell_and_no_line(name: str) -> None:
    text = plan_markdown(review(values(1, name)), [])
    (line,) = [line for line in re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text) if "runs" in line]
    assert len(re.findall(r"(?<!\\)\|", line)) == 4
    outside = re.sub(r"`[^`]*`|<code>[^<]*</code>", "", line)
    assert re.fullmatch(r"[| 3ofsetby→]*", outside)


def test_long_sections_are_folded_and_removals_are_not() -> None:
    rows = tuple(Row((Named(str(n)),)) for n in range(40))
    folded, open_ = (fit([Section(title, "x", "", rows)], LIMIT)[0].text for title in ("Changes", "Removals"))
    assert folded.startswith("<details><summary>Changes (40)</summary>\n\n| what |")
    assert open_.startswith("#### Removals (40)\n")
