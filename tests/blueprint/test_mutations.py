"""Every single mistake in a blueprint gives exactly one diagnostic, on the exact line and column."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.base.diagnostics import Diagnostic
from compiler.blueprint.merge import merge
from compiler.syntax.read import parse
from tests.blueprint.emitter import Emitted, Path, emit
from tests.blueprint.examples import FREE, REQUIRED, RICH


def nodes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value below `value`, with its path."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key), inner
        if isinstance(inner, (dict, list)):
            yield from nodes(inner, (*path, key))


NODES = list(nodes(RICH))
LEAVES = [(path, value) for path, value in NODES if not isinstance(value, (dict, list))]
MAPPINGS = [((), RICH), *((path, value) for path, value in NODES if isinstance(value, dict))]
ENUMERATED = {"task", "kind", "level", "scheme", "arch", "dataClass", "egress"}


def is_free(path: Path) -> bool:
    """Whether the mapping at `path` takes any name as a key."""
    return bool(path) and path[-1] in FREE | {"runs"} and not (len(path) > 1 and path[-2] in FREE)


FIXED = [(path, value) for path, value in MAPPINGS if not is_free(path)]
KEYS = [((*path, key), inner) for path, value in FIXED for key, inner in value.items()]
NOT_EMPTY = {"versions", "steps", "inventory", "command", "targets", "runs", "site"}
"""Collections that need an entry; an overlay's `match` too."""
assert (len(NODES), len(LEAVES), len(FIXED), len(KEYS)) == (134, 81, 28, 96)


def name_of(path: Path) -> str:
    return ".".join(str(step) for step in path) or "root"


def mutated(path: Path, change: Any) -> Emitted:
    """The rich blueprint, its container at all but the last step of `path` changed by `change(container, step)`."""
    data = copy.deepcopy(RICH)
    container: Any = data
    for step in path[:-1]:
        container = container[step]
    change(container, path[-1])
    return emit(data)


def replaced(path: Path, value: Any) -> Emitted:
    return mutated(path, lambda container, step: container.__setitem__(step, value))


def findings(emitted: Emitted) -> list[Diagnostic]:
    document, diagnostics = parse(emitted.text.encode(), "rich.slmc.yaml")
    assert diagnostics == []
    assert document is not None
    return merge([document])[1]


def one(emitted: Emitted) -> tuple[str, tuple[int, int], str | None]:
    """Code, place and help of the only finding."""
    found = findings(emitted)
    assert len(found) == 1, found
    assert found[0].span is not None
    return found[0].code.id, (found[0].span.line, found[0].span.column), found[0].help


def test_the_blueprint_without_a_mistake() -> None:
    assert findings(emit(RICH)) == []


@pytest.mark.parametrize("path", [path for path, _ in FIXED], ids=name_of)
def test_unknown_key(path: Path) -> None:
    emitted = mutated((*path, "zzzz"), lambda container, step: container.__setitem__(step, 1))
    assert one(emitted)[:2] == ("SLM201", emitted.keys[(*path, "zzzz")])


@pytest.mark.parametrize("path", [path for path, _ in KEYS], ids=name_of)
def test_misspelt_key(path: Path) -> None:
    """A required key that is misspelt is not missing too."""
    wrong = f"{path[-1]}s"

    def rename(container: Any, step: Any) -> None:
        entries = [(wrong if key == step else key, value) for key, value in container.items()]
        container.clear()
        container.update(entries)

    emitted = mutated(path, rename)
    expected = "SLM201", emitted.keys[(*path[:-1], wrong)], f"`{path[-1]}` has a similar name."
    assert one(emitted) == expected


@pytest.mark.parametrize("path", [path for path, _ in KEYS], ids=name_of)
def test_key_left_out(path: Path) -> None:
    emitted = mutated(path, lambda container, step: container.pop(step))
    owner, key = path[:-1], path[-1]
    needed = key in REQUIRED or (key in ("model", "recipe", "match", "source", "runs") and is_needed(path))
    place = emitted.keys[owner] if owner else (1, 1)
    if needed:
        assert one(emitted)[:2] == ("SLM204", place)
    else:
        assert findings(emitted) == []


def is_needed(path: Path) -> bool:
    """Keys that one kind of mapping needs and another does not."""
    in_overlay = "overlays" in path
    return {
        "source": "versions" in path,
        "match": in_overlay,
        "model": not in_overlay,
        "recipe": not in_overlay,
        "runs": not in_overlay,
    }[str(path[-1])]


@pytest.mark.parametrize(("path", "value"), NODES, ids=lambda part: name_of(part) if isinstance(part, tuple) else "")
def test_wrong_type(path: Path, value: Any) -> None:
    emitted = replaced(path, 7.5 if isinstance(value, (dict, list)) else {"zz": 1})
    code = "SLM210" if path in (("apiVersion",), ("kind",)) else "SLM202"
    if path[-1] == "recipe" or path[-2:-1] == ("targets",):  # which may be a mapping, with other keys
        assert one(emitted)[:2] == ("SLM201", emitted.keys[*path, "zz"])
    else:
        assert one(emitted)[:2] == (code, emitted.values[path])


@pytest.mark.parametrize("path", [path for path, _ in NODES], ids=name_of)
def test_no_value(path: Path) -> None:
    emitted = replaced(path, None)
    code = "SLM210" if path in (("apiVersion",), ("kind",)) else "SLM202"
    assert one(emitted)[:2] == (code, emitted.values[path])


@pytest.mark.parametrize(("path", "value"), LEAVES, ids=lambda part: name_of(part) if isinstance(part, tuple) else "")
def test_list_instead_of_one_value(path: Path, value: Any) -> None:
    emitted = replaced(path, [value, value])
    if path[-2:] in (("match", "class"), ("match", "site")):
        assert findings(emitted) == []
    else:
        code = "SLM210" if path in (("apiVersion",), ("kind",)) else "SLM202"
        assert one(emitted)[:2] == (code, emitted.values[path])


@pytest.mark.parametrize(
    ("path", "value"), [leaf for leaf in LEAVES if leaf[0][-1] in ENUMERATED and len(leaf[0]) > 1], ids=str
)
def test_misspelt_value(path: Path, value: str) -> None:
    emitted = replaced(path, f"{value}x")
    assert one(emitted) == ("SLM205", emitted.values[path], f"`{value}` has a similar name.")


@pytest.mark.parametrize(
    "path", [path for path, value in LEAVES if type(value) in (int, float) and path[-1] != "priority"], ids=name_of
)
def test_number_out_of_bounds(path: Path) -> None:
    emitted = replaced(path, -1)
    assert one(emitted)[:2] == ("SLM205", emitted.values[path])


@pytest.mark.parametrize("path", [path for path, value in LEAVES if type(value) in (int, float, bool)], ids=name_of)
def test_number_or_boolean_as_text(path: Path) -> None:
    emitted = replaced(path, "yes")
    assert one(emitted)[:2] == ("SLM202", emitted.values[path])


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, value in NODES
        if isinstance(value, (dict, list)) and (path[-1] in NOT_EMPTY or path[-2:] == (0, "match"))
        if path[-2:] not in ((0, "runs"), ("overridable", "site"))
    ],
    ids=name_of,
)
def test_empty_collection(path: Path) -> None:
    kind = dict if path[-1] in ("versions", "runs", "match") else list
    emitted = replaced(path, kind())
    assert one(emitted)[:2] == ("SLM205", emitted.values[path])


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("models",), "Assistant"), (("models",), "-a"), (("models",), "a/b"), (("models",), "a" * 64),
        (("recipes",), "a_b"), (("deviceClasses",), "ä"), (("fleets",), ""), (("fleets",), "a b"),
        (("fleets", "stores-eu", "runs"), "A"), (("models", "assistant", "versions"), "1/2"),
        (("fleets", "stores-eu", "overlays", 0, "runs"), "A"),
        (("fleets", "stores-eu", "runs", "assistant", "environment"), "A-B"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_name(path: Path, wrong: str) -> None:
    def rename(container: Any, step: Any) -> None:
        first = next(iter(container[step]))
        container[step][wrong] = container[step].pop(first)

    emitted = mutated(path, rename)
    assert one(emitted)[:2] == ("SLM205", emitted.keys[(*path, wrong)])
