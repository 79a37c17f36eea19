"""What the door says, in the words of the person who wrote the blueprint."""

from __future__ import annotations

import re
from typing import Any

from compiler.base.diagnostics import did_you_mean
from compiler.syntax.document import Mapping, Path, Sequence

_EXPECTED = {
    "string_type": "text",
    "bool_type": "`true` or `false`",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "y", "1"), "true"),
    **dict.fromkeys(("false", "no", "off", "n", "0"), "false"),
}
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_LONGEST = 60


def expected_words(error: Any) -> str | None:
    """What a value of another type should have been; None when its type is right."""
    kind: str = error["type"]
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    return str(error["ctx"]["expected"]) if kind.endswith("_type") else None


def describe(value: Any, written: str) -> str:
    """`the number 3`, `a list`: a value as its writer sees it."""
    if isinstance(value, (Mapping, Sequence)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if isinstance(value, str):
        return f"`{cut(value)}`" if value else "empty"
    return f"`{written}`" if isinstance(value, bool) else f"the number {written}"


def one_of(allowed: list[Any]) -> str:
    return ("one of " if len(allowed) > 1 else "") + ", ".join(f"`{one}`" for one in allowed)


def cut(text: str) -> str:
    """Text short enough for a message."""
    first = text.split("\n", 1)[0]
    return first if first == text and len(text) <= _LONGEST else f"{first[:_LONGEST]}…"


def subject(path: Path) -> str:
    """What a message calls the value at `path`."""
    last = path[-1] if path else ""
    if isinstance(last, int):
        owner = next((step for step in reversed(path) if isinstance(step, str)), "")
        return f"entry {last + 1} of `{owner}`"
    return f"`{last}`" if path else "the file"


def sentence(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def type_help(expected: str, value: Any, written: str, keys: list[str]) -> str | None:
    """How to write the value so that it has the type that was expected."""
    if isinstance(value, (Mapping, Sequence)):
        return "Write `key: value` on a line of its own for each entry." if expected == "a mapping" else None
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) and ("number" in expected or f"`{value}`" in expected):
            return "Leave out the quotes."
        if value.casefold() in _BOOLEANS and expected == "`true` or `false`":
            return f"Write `{_BOOLEANS[value.casefold()]}`, without quotes."
    elif expected == "text":
        return f'Write "{written}", in quotes.'
    elif "size" in expected and _NUMBER.fullmatch(written):
        return f"Write the unit, such as `{written}MiB`."
    if expected == "a list":
        return f"Write `[{cut(written)}]`."
    if expected == "a mapping" and keys:
        return f"Write it as `key: value`. Known keys: {', '.join(f'`{key}`' for key in keys)}."
    return None


def allowed_help(value: Any, allowed: list[Any]) -> str | None:
    """Which values there are; the near one, if the value is misspelt."""
    if isinstance(value, str):
        return did_you_mean(value, [str(one) for one in allowed])
    return f"Allowed: {', '.join(f'`{one}`' for one in allowed)}."


def limit_words(error: Any, name: str, value: str) -> tuple[str, str | None]:
    """Message and help for a value of the right type that is out of bounds or misspelt."""
    kind, context = error["type"], error.get("ctx", {})
    named = name[0].upper() + name[1:]
    if kind in ("greater_than_equal", "greater_than"):
        bound = "at least" if kind == "greater_than_equal" else "more than"
        return f"{named} is {value}, which is too small.", f"It is {bound} {_bound(context, 'ge', 'gt')}."
    if kind in ("less_than_equal", "less_than"):
        bound = "at most" if kind == "less_than_equal" else "less than"
        return f"{named} is {value}, which is too large.", f"It is {bound} {_bound(context, 'le', 'lt')}."
    if kind in ("too_short", "string_too_short"):
        return f"{named} is empty.", "Write at least one entry." if kind == "too_short" else "Write a value."
    if kind in ("too_long", "string_too_long"):
        unit = "characters" if kind == "string_too_long" else "entries"
        return f"{named} is too long.", f"At most {context['max_length']} {unit} are allowed."
    if value == "empty":
        named += " is empty"
    elif value != name:
        named = f"{value[0].upper() + value[1:]} is not allowed for {name}"
    else:
        named += " is not allowed as a name here"
    return f"{named}.", sentence(str(context["reason"])) if "reason" in context else None


def _bound(context: Any, *names: str) -> str:
    bound = next(context[name] for name in names if name in context)
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
