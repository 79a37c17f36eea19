"""What the door says: whole diagnostics, and that its words name no Python and no pydantic."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from compiler.blueprint.door import check
from compiler.blueprint.recipe_spec import RecipeSpec
from compiler.blueprint.scalars import Name
from compiler.blueprint.spec import Spec
from compiler.blueprint.target_spec import TargetFileSpec, TargetSpec
from compiler.syntax.read import parse

SPELLING = "A name is at most 63 lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit."


def said(text: str, spec: type[Spec]) -> list[tuple[str, str, str, str | None]]:
    """Code, place, message and help of each finding."""
    document, diagnostics = parse(text.encode(), "a")
    assert document is not None, diagnostics
    value, found = check(document, spec)
    assert (value is None) == bool(found)
    return [(one.code.id, f"{one.span.line}:{one.span.column}", one.message, one.help) for one in found if one.span]


def test_a_target() -> None:
    document, _ = parse(b"description: Units\nneeds: [command]\nfiles:\n- {path: a, template: b.j2, per: run}\n", "t")
    assert document is not None
    target = TargetSpec(
        description="Units", needs=["command"], files=[TargetFileSpec(path="a", template="b.j2", per="run")]
    )
    assert check(document, TargetSpec) == (target, [])


def test_a_wrong_target() -> None:
    text = 'descripton: Units\nneeds: [imge, 3]\nfiles:\n- path: a\n  per: device\n- template: x\n  path: "a\\nb"\n'
    assert said(text, TargetSpec) == [
        ("SLM205", "2:9", "`imge` is not allowed for entry 1 of `needs`.", "`image` has a similar name."),
        (
            "SLM202",
            "2:15",
            "Entry 2 of `needs` is the number 3; one of `image`, `command` was expected.",
            None,
        ),
        (
            "SLM204",
            "4:3",
            "Entry 1 of `files` lacks `template`.",
            "Add `template`. Name of the Jinja template in the target's folder; "
            "`builtin/TARGET/FILE` is one of slmc's.",
        ),
        ("SLM205", "5:8", "`device` is not allowed for `per`.", "Known: `run`."),
        (
            "SLM205",
            "7:9",
            "`a…` is not allowed for `path`.",
            "A path is inside the workspace, with `/` between folders and without control characters.",
        ),
        ("SLM201", "1:1", "`descripton` is not a key of the file.", "`description` has a similar name."),
    ]


@pytest.mark.parametrize(
    ("key", "way"),
    [
        ("quantize: 1", "Known: `kind`, `level`, `transformer`."),
        ("optimize: {}", "Known: `kind`, `level`, `transformer`."),
        ("scheme: int4", "`scheme` goes with `kind: quantize`."),
        ("blockSize: 32", "`blockSize` goes with `kind: quantize` or `package`."),
    ],
)
def test_a_key_that_is_spelt_like_a_tag_is_a_key(key: str, way: str) -> None:
    """The tags of unions in pydantic's places are not mistaken for keys, nor keys for tags."""
    message = f"`{key.split(':')[0]}` is not a key of entry 1 of `steps`."
    assert said(f"steps: [{{kind: optimize, {key}}}]\n", RecipeSpec) == [("SLM201", "1:26", message, way)]


class Odd(Spec):
    """Every kind of limit that pydantic knows and a format may use."""

    word: Annotated[str, Field(min_length=2, max_length=3)] = "abc"
    letters: Annotated[str, Field(pattern="^[a-z]+$")] = "abc"
    number: Annotated[float, Field(gt=0, lt=10)] = 1
    whole: Annotated[int, Field(ge=1000, le=2000)] = 1000
    even: Annotated[int, Field(multiple_of=2)] = 2
    items: list[int] = Field(default_factory=list, max_length=2)
    switch: bool = False


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("word: abcd", ("SLM205", "`word` is too long.", "At most 3 characters are allowed.")),
        ("word: \"\"", ("SLM205", "`word` is empty.", "Write a value.")),
        ("letters: A1", ("SLM205", "`A1` is not allowed for `letters`.", None)),
        ("number: 0", ("SLM205", "`number` is the number 0, which is too small.", "It is more than 0.")),
        ("number: 10", ("SLM205", "`number` is the number 10, which is too large.", "It is less than 10.")),
        ("whole: 2001", ("SLM205", "`whole` is the number 2001, which is too large.", "It is at most 2,000.")),
        ("even: 1001", ("SLM205", "The number 1001 is not allowed for `even`.", None)),
        ("whole: 1500.5", ("SLM202", "`whole` is the number 1500.5; a whole number was expected.", None)),
        ("whole: true", ("SLM202", "`whole` is `true`; a whole number was expected.", None)),
        (
            "whole: 9" + 20 * "0",
            ("SLM205", f"`whole` is the number 9{20 * '0'}, which is too large.", "It is at most 2,000."),
        ),
        ("items: [1, 2, 3]", ("SLM205", "`items` is too long.", "At most 2 entries are allowed.")),
        ("items: 1", ("SLM202", "`items` is the number 1; a list was expected.", "Write `[1]`.")),
        ("items: {a: 1}", ("SLM202", "`items` is a mapping; a list was expected.", None)),
        ("switch: 1", ("SLM202", "`switch` is the number 1; `true` or `false` was expected.", None)),
        (
            "switch: 'off'",
            ("SLM202", "`switch` is `off`; `true` or `false` was expected.", "Write `false`, without quotes."),
        ),
        ("word: 1.10", ("SLM202", "`word` is the number 1.10; text was expected.", 'Write "1.10", in quotes.')),
        ("word: True", ("SLM202", "`word` is `True`; text was expected.", 'Write "True", in quotes.')),
        ("word: |\n  a long\n  text", ("SLM205", "`word` is too long.", "At most 3 characters are allowed.")),
        (f"switch: {'x' * 80}", ("SLM202", f"`switch` is `{'x' * 60}…`; `true` or `false` was expected.", None)),
    ],
)  # fmt: skip
def test_every_kind_of_limit(line: str, finding: tuple[str, str, str | None]) -> None:
    assert [(code, message, way) for code, _, message, way in said(line, Odd)] == [finding]


def test_an_aliased_number_is_shown_as_it_is() -> None:
    text = "number: &n 99\nword: *n\n"
    assert [message for _, _, message, _ in said(text, Odd)] == [
        "`word` is the number 99; text was expected.",
        "`number` is the number 99, which is too large.",
    ]


class Free(Spec):
    """A mapping with any keys that are names."""

    names: dict[Name, int]


def test_a_key_that_is_spelt_like_a_key_s_place() -> None:
    """pydantic puts `[key]` into the place of a wrong key."""
    assert said('names: {"[key]": a, b: c, D: 1}\n', Free) == [
        ("SLM205", "1:9", "`[key]` is not allowed as a name here.", SPELLING),
        ("SLM202", "1:18", "`[key]` is `a`; a whole number was expected.", None),
        ("SLM202", "1:24", "`b` is `c`; a whole number was expected.", None),
        ("SLM205", "1:27", "`D` is not allowed as a name here.", SPELLING),
    ]


def test_what_a_spec_takes_from_python() -> None:
    """Sequences and mappings of the syntax stage are the lists and dicts that strict pydantic wants."""
    values: dict[str, Any] = Odd.model_validate({"items": [1], "number": 2}).model_dump()
    assert values["items"] == [1]
