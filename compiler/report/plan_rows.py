"""A Review as sections of rows: what text and Markdown have in common.

Words that users chose are kept apart from slmc's own, since each view has its way to make them harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from compiler.base.span import Span
from compiler.base.units import show_bytes
from compiler.plan.changes import Change, Kind, Subject, Value
from compiler.plan.review import ArtifactChange, BundleChange, Download, Review

SHOWN_IDS = 5
SHOWN_VALUES = 8
SHOWN_COHORTS = 20
_LONGEST = 120
_SIZES = ("memoryLimit", "memory", "reservedMemory", "storage", "reservedStorage", "gates.size.max", "gates.size.min")


@dataclass(frozen=True, slots=True)
class Named:
    """A word that a user chose."""

    text: str


Words = tuple[str | Named, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One change: `what` happens on how many `devices` (None: not counted) `of` which fleet, and because of what.

    `link` joins the two (`on`); empty where the devices come first. `group` is what rows are counted
    together as when there are too many.
    """

    what: Words
    devices: int | None = None
    of: str | None = None
    link: str = "on"
    origin: Words = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one kind; `noun` counts them."""

    title: str
    noun: str
    sign: str
    rows: tuple[Row, ...]


def sections(review: Review) -> list[Section]:
    """All that a plan says, removals first. Sections without a row are left out."""
    changes = review.difference.changes
    removed = [*_rows(changes, Kind.REMOVE), *_bundles(review.bundles, Kind.REMOVE)]
    removed += [_dropped(change) for change in review.artifacts if change.kind is Kind.REMOVE]
    bundles = [*_bundles(review.bundles, Kind.CHANGE), *_bundles(review.bundles, Kind.ADD), *_index(review)]
    found = [
        Section("Removals", "removal", "-", tuple(removed)),
        Section("Changes", "change", "~", tuple(_rows(changes, Kind.CHANGE))),
        Section("Additions", "addition", "+", tuple(_rows(changes, Kind.ADD))),
        Section("Artifacts", "artifact", "", tuple(_artifacts(review.artifacts))),
        Section("Bundles", "bundle line", "", tuple(bundles)),
        Section("Downloads", "download", "", tuple(map(_download, review.downloads))),
    ]
    return [section for section in found if section.rows]


def grouped(rows: Iterable[Row], *, by_fleet: bool) -> tuple[Row, ...]:
    """The same rows, counted together by what they are about, and by fleet. Counts stay exact."""
    found: dict[tuple[str, str | None], list[Row]] = {}
    for row in rows:
        found.setdefault((row.group, row.of if by_fleet else None), []).append(row)
    return tuple(
        Row((f"{len(of):,} × {group}",), _sum(of), fleet, "on", (), group) for (group, fleet), of in found.items()
    )


def summary(review: Review) -> list[str]:
    """What a plan comes to, as sentences in slmc's own words."""
    if not review.pending:
        return [
            "Nothing would change." if review.against.why is None else "Nothing would change, as far as can be seen."
        ]
    difference = review.difference
    there, touched = count(difference.devices, "device"), difference.touched
    return [f"{touched:,} of {there} {'is' if touched == 1 else 'are'} touched.", *_built(review), *_downloaded(review)]


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _sum(rows: Sequence[Row]) -> int | None:
    counted = [row.devices for row in rows if row.devices is not None]
    return sum(counted) if counted else None


def _built(review: Review) -> Iterator[str]:
    missing = [change for change in review.artifacts if change.kind is not Kind.REMOVE and change.size is None]
    if missing:
        yield f"{count(len(missing), 'artifact')} to build."
    verbs = ((Kind.ADD, "new"), (Kind.CHANGE, "changed"), (Kind.REMOVE, "removed"))
    counts = [(sum(len(b.targets) for b in review.bundles if b.kind is kind), word) for kind, word in verbs]
    if any(number for number, _ in counts):
        yield f"Bundles: {', '.join(f'{number:,} {word}' for number, word in counts if number)}."


def _downloaded(review: Review) -> Iterator[str]:
    if not review.downloads:
        if review.difference.touched:
            yield "Nothing to download."
        return
    devices = sum(download.devices for download in review.downloads)
    unknown = len({name for download in review.downloads for name in download.unknown})
    most = max(download.size for download in review.downloads)
    known = f"{show_bytes(review.total)} in all to {count(devices, 'device')}, at most {show_bytes(most)} each"
    unsure = f"{count(unknown, 'artifact')} of unknown size, not built yet"
    yield "Downloads: " + ("; and ".join([known, unsure] if unknown and most else [unsure if unknown else known])) + "."


def _rows(changes: Iterable[Change], kind: Kind) -> Iterator[Row]:
    return (_row(change) for change in changes if change.kind is kind)


_VERBS = {
    Kind.REMOVE: ("goes", "go", "ends"),
    Kind.CHANGE: ("moves", "move", "changes"),
    Kind.ADD: ("joins", "join", "begins"),
}
"""Of one device, of several, of a run or a target."""


def _row(change: Change) -> Row:
    one, many, run = _VERBS[change.kind]
    origin, name = _origin(change), Named(change.name)
    what: Words
    link = "on"
    match change.subject:
        case Subject.FLEET:
            return Row(("fleet ", name, f" {run}"), change.devices, None, "with", origin, "fleet")
        case Subject.DEVICES:
            what, link = (f"{one if change.devices == 1 else many}: ", *_ids(change.ids)), ""
        case Subject.RUN:
            what = "run ", name, f" {run}"
        case Subject.TARGET:
            options = (": ", *_values(change)) if change.values else (f" {run}",)
            what, link = ("target ", name, *options), "for"
        case Subject.DEVICE_CLASS:
            what = "class ", name, ": ", *_values(change)
        case Subject.VARIABLE:
            what = name, " in the table of devices"
        case _:
            what = tuple(_values(change))
    return Row(what, change.devices, change.fleet, link, origin, _GROUPS.get(change.subject, "values"))


_GROUPS = {
    Subject.DEVICES: "devices", Subject.RUN: "run", Subject.TARGET: "target", Subject.DEVICE_CLASS: "class",
    Subject.VARIABLE: "column of the table of devices", Subject.COHORT: "cohort",
}  # fmt: skip


def _ids(ids: Sequence[str]) -> Words:
    return _list([Named(id) for id in ids], SHOWN_IDS, "more")


def _list(names: Sequence[Named], shown: int, more: str) -> Words:
    words: list[str | Named] = []
    for name in names[:shown]:
        words += [", ", name] if words else [name]
    if len(names) > shown:
        words.append(f" and {len(names) - shown:,} {more}")
    return tuple(words)


def _values(change: Change) -> Iterator[str | Named]:
    for number, value in enumerate(change.values[:SHOWN_VALUES]):
        if number:
            yield ", "
        yield from _value(value)
        if value.devices != change.devices:
            yield f" ({value.devices:,})"
    if len(change.values) > SHOWN_VALUES:
        yield f" and {len(change.values) - SHOWN_VALUES:,} more"


def _value(value: Value) -> Words:
    return Named(value.path), " ", _shown(value.path, value.old), " → ", _shown(value.path, value.new)


def _shown(path: str, value: Any) -> str | Named:
    if value is None:
        return "not set"
    if isinstance(value, int | float) and path.endswith(_SIZES):
        return show_bytes(int(value))
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return Named(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _origin(change: Change) -> Words:
    if change.place is not None:
        return ("declared at " if change.subject in (Subject.FLEET, Subject.RUN) else "set by "), _line(change.place)
    if change.was is not None:
        gone = change.kind is Kind.REMOVE
        return ("was declared at " if gone else "no longer set by "), _line(change.was)
    by_slmc = change.subject is Subject.VALUES and not any(value.path == "class" for value in change.values)
    return ("by default",) if by_slmc else ()


def _line(place: Span) -> Named:
    return Named(f"{place.source.path}:{place.line}")


def _bundles(changes: Iterable[BundleChange], kind: Kind) -> Iterator[Row]:
    """Bundles by cohort, of a fleet with many by fleet."""
    verb = {Kind.REMOVE: "remove", Kind.CHANGE: "change", Kind.ADD: "create"}[kind]
    of_fleet: dict[str, list[BundleChange]] = {}
    for change in changes:
        if change.kind is kind:
            of_fleet.setdefault(change.fleet, []).append(change)
    for fleet, found in of_fleet.items():
        bundles = sum(len(change.targets) for change in found)
        if len(found) > SHOWN_COHORTS:
            what = f"{verb} {count(bundles, 'bundle')} of {count(len(found), 'cohort')} of "
            yield Row((what, Named(fleet)), of=fleet, group="bundles of a fleet")
            continue
        for change in found:
            targets = _list([Named(target) for target in change.targets], SHOWN_VALUES, "more")
            name = Named("/".join(filter(None, (fleet, change.cohort))))
            yield Row((f"{verb} bundles ", name, ": ", *targets), of=fleet, group="bundles of a cohort")


def _index(review: Review) -> Iterator[Row]:
    for fleet, rows in review.index.items():
        yield Row((f"change {count(rows, 'row')} in the index of devices of ", Named(fleet)), of=fleet, group="index")


def _artifacts(changes: Iterable[ArtifactChange]) -> Iterator[Row]:
    for change in changes:
        if change.kind is not Kind.REMOVE:
            reason = change.reason.value if change.reason else ""
            if change.size is None:
                verb, more = "build ", f"{reason}; size unknown until then"
            else:
                verb, more = "take ", f"{reason}; built already, {show_bytes(change.size)}"
            if change.devices:
                yield Row((verb, Named(change.name)), change.devices, None, "for", (more,))
            else:
                yield Row((verb, Named(change.name), " as a candidate"), origin=(more,))


def _dropped(change: ArtifactChange) -> Row:
    size = "" if change.size is None else f", {show_bytes(change.size)}"
    return Row(("artifact ", Named(change.name), f" is needed no more{size}"), group="artifact")


def _download(download: Download) -> Row:
    size = show_bytes(download.size) if download.size else ""
    unknown = f"{count(len(download.unknown), 'artifact')} of unknown size" if download.unknown else ""
    in_all = f" = {show_bytes(download.size * download.devices)}" if size and not unknown else ""
    what = f"{count(download.devices, 'device')} × {' and '.join(filter(None, (size, unknown)))}{in_all}: "
    return Row((what, *_list([Named(name) for name in download.artifacts], SHOWN_VALUES, "more")))
