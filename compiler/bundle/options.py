"""The options of a target: what `target.yaml` declares, and the values that a fleet gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.blueprint.scalars import IMAGE
from compiler.blueprint.target_spec import OptionSpec
from compiler.fleet.graph import TargetOption, TargetUse
from compiler.syntax.document import Document

_WORDS = {
    "text": "text",
    "integer": "a whole number",
    "boolean": "`true` or `false`",
    "image": "an image by digest",
    "list": "a list of texts",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a target. Lists are tuples; None is no default."""

    name: str
    type: str
    description: str
    default: Any
    required: bool
    pattern: str | None
    requires: tuple[str, ...] = ()
    """Options that have to be given with it."""


def read_options(document: Document, specs: Mapping[str, OptionSpec]) -> tuple[tuple[Option, ...], list[Diagnostic]]:
    """The options that a `target.yaml` declares, in the order of names, and what is wrong with them."""
    options, diagnostics = [], []
    for name, spec in sorted(specs.items()):
        plain = _plain(spec.default)
        option = Option(name, spec.type, spec.description, plain, spec.required, spec.pattern, tuple(spec.requires))
        options.append(option)
        if unknown := [other for other in spec.requires if other not in specs]:
            place = document.value(("options", name, "requires", spec.requires.index(unknown[0])))
            diagnostics.append(Diagnostic(Code.BAD_TARGET, f"The target has no option `{unknown[0]}`.", place))
        if option.pattern is not None and (fault := _no_pattern(option.pattern)):
            place = document.value(("options", name, "pattern"))
            diagnostics.append(Diagnostic(Code.BAD_TARGET, f"`{option.pattern}` is no pattern: {fault}.", place))
        elif option.default is not None and not _fits(option, option.default):
            place = document.value(("options", name, "default"))
            message = f"The default of option `{name}` is not {_expected(option)}."
            diagnostics.append(Diagnostic(Code.BAD_TARGET, message, place))
    return tuple(options), diagnostics


def check_options(target: str, options: Iterable[Option], use: TargetUse) -> list[Diagnostic]:
    """Options that the target does not have, values that it cannot take, and those that it lacks."""
    known = {option.name: option for option in options}
    diagnostics = []
    for given in use.options:
        option = known.get(given.name)
        if option is None:
            help = did_you_mean(given.name, known, None if known else "It has no options.")
            message = f"`{given.name}` is not an option of target `{target}`."
            diagnostics.append(Diagnostic(Code.UNKNOWN_KEY, message, given.key, help))
        elif not _fits(option, given.value):
            diagnostics.append(_unfit(option, given))
    names = {given.name for given in use.options}
    for option in known.values():
        if option.required and option.name not in names:
            message = f"Target `{target}` needs the option `{option.name}`."
            help = f"Write `{{name: {target}, options: {{{option.name}: …}}}}`. {option.description}."
            diagnostics.append(Diagnostic(Code.MISSING_KEY, message, use.place, help))
    return diagnostics + _lacking(known, use, names)


def _lacking(known: Mapping[str, Option], use: TargetUse, names: set[str]) -> list[Diagnostic]:
    """Options that are given without those that they require."""
    return [
        Diagnostic(
            Code.MISSING_KEY,
            f"`{given.name}` needs the option `{other}` beside it.",
            given.key,
            f"{known[other].description}.",
        )
        for given in use.options
        if given.name in known
        for other in known[given.name].requires
        if other not in names
    ]


def option_values(options: Iterable[Option], use: TargetUse) -> dict[str, Any]:
    """What templates see: every option, with the fleet's value, else its default, else None."""
    given = {option.name: option.value for option in use.options}
    return {option.name: given.get(option.name, option.default) for option in options}


def _unfit(option: Option, given: TargetOption) -> Diagnostic:
    typed = _has_type(option.type, given.value)
    message = f"`{option.name}` is not {_expected(option)}."
    quoted = str(given.value)
    number = isinstance(given.value, int | float) and not isinstance(given.value, bool)
    if option.type == "text" and number and _fits(option, quoted):
        message = f'`{option.name}` is a number, and text was expected: write `"{quoted}"`.'
    return Diagnostic(
        Code.BAD_VALUE if typed or option.type == "image" else Code.WRONG_TYPE,
        message,
        given.place,
        help=f"{option.description}.",
    )


def _expected(option: Option) -> str:
    words = _WORDS[option.type]
    if option.pattern is None:
        return words
    return f"{words} that {'each match' if option.type == 'list' else 'matches'} `{option.pattern}`"


def _fits(option: Option, value: Any) -> bool:
    if not _has_type(option.type, value):
        return False
    texts = value if isinstance(value, tuple) else (value,)
    return option.pattern is None or all(re.fullmatch(option.pattern, str(text)) for text in texts)


def _has_type(kind: str, value: Any) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, tuple) and all(isinstance(inner, str) for inner in value)
        case "image":
            return isinstance(value, str) and re.fullmatch(IMAGE.removesuffix("$"), value) is not None
    return isinstance(value, str)


def _no_pattern(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
