"""The scalar types that blueprints are written in: sizes, shares, names, paths, references.

Each takes what YAML gives, accepts only its documented spelling, and says what that is. An
error whose type ends in `_type` means that the value is no such thing at all (`expected` says
what was); the others mean that its spelling is wrong (`reason` says how it is written).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from compiler.base.units import parse_bytes, parse_duration, parse_ratio

SIZE = r"^[0-9]+(\.[0-9]+)? ?([kMGT]B|[KMGT]iB|B)$"
DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
SHARE = r"^([0-9]{1,2}(\.[0-9]+)?%|100(\.0+)?%|0(\.[0-9]+)?|1(\.0+)?)$"
NAME = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"
VERSION = r"^[A-Za-z0-9][-A-Za-z0-9._+]{0,62}$"
IMAGE = r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$"
MODEL_REFERENCE = f"{NAME.removesuffix('$')}@{VERSION.removeprefix('^')}"
RUNTIME_REFERENCE = f"^(builtin/)?{NAME.removeprefix('^')}"
PATH = r"^[^\x00-\x1f\x7f\\]+$"
ENGINE_VERSION = r"^[0-9]{1,3}\.[0-9]{1,3}$"
DATE = r"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"
URL_PATH = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$"
OPTION = r"^[a-z][A-Za-z0-9]*$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
COLUMN = r"^(fact\.[a-zA-Z]+|runs\..+|device\.[A-Za-z_][A-Za-z0-9_]*)$"

_NAMES = "a name is at most 63 lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit"
_VERSIONS = "a version is at most 63 letters, digits, `.`, `-`, `_` and `+`, and begins with a letter or digit"
_SHARES = "a share is a percentage such as 95%, or a number between 0 and 1"


def _wrong_type(expected: str) -> PydanticCustomError:
    return PydanticCustomError("text_type", "expected {expected}", {"expected": expected})


def _bad_spelling(reason: str) -> PydanticCustomError:
    return PydanticCustomError("spelling", "{reason}", {"reason": reason})


def _size(value: Any) -> int:
    if not isinstance(value, str):
        raise _wrong_type("a size with its unit, such as 450MiB,")
    if not re.fullmatch(SIZE, value):
        raise _bad_spelling("a size is a number and one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB: 450MiB")
    return parse_bytes(value)


def _duration(value: Any) -> float:
    if not isinstance(value, str):
        raise _wrong_type("a time with its unit, such as 500ms or 24h,")
    if not re.fullmatch(DURATION.removesuffix("$") + r"\Z", value):
        raise _bad_spelling("a time is a number and one of the units ms, s, m, h, d: 500ms")
    if (seconds := parse_duration(value)) == 0:
        raise _bad_spelling("a time is more than nothing")
    return seconds


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _wrong_type("a share, such as 95% or 0.95,")
    share = parse_ratio(value) if isinstance(value, str) and re.fullmatch(SHARE, value) else value
    if isinstance(share, str) or not 0 <= share <= 1:
        raise _bad_spelling(_SHARES)
    return float(share)


def _date(value: Any) -> str:
    """A day, a month, or a year, which YAML takes for a number."""
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise _wrong_type("a date, such as 2026-11-24,")
    if not re.fullmatch(DATE, str(value)):
        raise _bad_spelling("a date is a day, a month or a year: 2026-11-24, 2026-11 or 2026")
    return str(value)


def _scalar(value: Any) -> str | int | float | bool:
    if not isinstance(value, (str, int, float, bool)):
        raise _wrong_type("text, a number, `true` or `false`")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _wrong_type("a finite number")
        return value + 0.0  # -0.0 is 0.0: they are equal, and would be told apart by their text alone
    return value


def _spelt(pattern: str, reason: str) -> BeforeValidator:
    """Text that matches `pattern`; `reason` says how it is written."""
    # `$` would let a last line feed through.
    compiled = re.compile(pattern.removesuffix("$") + r"\Z")

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "expected text")
        if not compiled.fullmatch(value):
            raise _bad_spelling(reason)
        return value

    return BeforeValidator(check)


def _one_or_many(value: Any) -> str:
    return "many" if isinstance(value, list) else "one"


_ONE_OR_MANY: Callable[[Any], str] = _one_or_many


def _text_schema(pattern: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


def _number_or_text(number: dict[str, Any], pattern: str, *examples: Any) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": pattern}], "examples": list(examples)})


ByteSize = Annotated[int, BeforeValidator(_size), _text_schema(SIZE, examples=["450MiB"])]
"""Bytes."""

Duration = Annotated[float, BeforeValidator(_duration), _text_schema(DURATION, examples=["500ms", "24h"])]
"""Seconds."""

Share = Annotated[
    float,
    BeforeValidator(_share),
    _number_or_text({"type": "number", "minimum": 0, "maximum": 1}, SHARE, "95%", 0.95),
]
"""Between 0 and 1."""

Name = Annotated[str, _spelt(NAME, _NAMES), _text_schema(NAME)]
Version = Annotated[str, _spelt(VERSION, _VERSIONS), _text_schema(VERSION)]
ImageReference = Annotated[
    str,
    _spelt(IMAGE, "an image is named by digest, as a tag can move: registry.example/slm-server@sha256:<64 hex digits>"),
    _text_schema(IMAGE),
]
ModelReference = Annotated[
    str,
    _spelt(MODEL_REFERENCE, "a model is named with its version, such as assistant@1.4.0"),
    _text_schema(MODEL_REFERENCE, examples=["assistant@1.4.0"]),
]
RuntimeReference = Annotated[
    str,
    _spelt(RUNTIME_REFERENCE, "a runtime is named as it is declared, or as `builtin/NAME`"),
    _text_schema(RUNTIME_REFERENCE, examples=["builtin/onnxruntime"]),
]
RelativePath = Annotated[
    str,
    _spelt(PATH, "a path is inside the workspace, with `/` between folders and without control characters"),
    _text_schema(PATH),
]
UrlPath = Annotated[
    str, _spelt(URL_PATH, "a path of a URL begins with `/`: /health"), _text_schema(URL_PATH, examples=["/health"])
]
DateText = Annotated[
    str,
    BeforeValidator(_date),
    _number_or_text({"type": "integer", "minimum": 1000, "maximum": 9999}, DATE, "2026-11-24"),
]
EngineVersion = Annotated[
    str,
    _spelt(ENGINE_VERSION, 'a version of podman is its first two numbers, in quotes: "5.4"'),
    _text_schema(ENGINE_VERSION, examples=["5.4"]),
]
"""Text, since a number would make 5.1 of 5.10."""
VariableName = Annotated[
    str,
    _spelt(VARIABLE, "an environment variable's name is letters, digits and `_`, and begins with no digit"),
    _text_schema(VARIABLE),
]

Scalar = Annotated[
    Any,
    BeforeValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"], "examples": ["0.5", 30, True]}),
]
"""Text, a number or a truth value, kept as it is written."""

OptionName = Annotated[
    str,
    _spelt(OPTION, "an option's name is letters and digits, and begins with a small letter: baseImage"),
    _text_schema(OPTION, examples=["baseImage"]),
]
OptionValue = Annotated[
    Annotated[Scalar, Tag("one")] | Annotated[list[Scalar], Tag("many")], Discriminator(_ONE_OR_MANY)
]
"""Text, a number, a truth value, or a list of them."""

ColumnUse = Annotated[
    str,
    _spelt(
        COLUMN,
        "a column is `fact.NAME` of the device class, `runs.RUN.PATH` for a value, or `device.NAME` for a variable",
    ),
    _text_schema(COLUMN, examples=["fact.memory", "runs.assistant.threads", "device.SHOP_NAME"]),
]

_Text = TypeVar("_Text", bound=str)
OneOrMore = Annotated[
    Annotated[_Text, Tag("one")] | Annotated[list[_Text], Tag("many"), Field(min_length=1)], Discriminator(_ONE_OR_MANY)
]
"""One value, or a list of them. By its discriminator a mistake gives one error, not one for each form."""

__all__ = [
    "ByteSize", "ColumnUse", "DateText", "Duration", "EngineVersion", "ImageReference", "ModelReference", "Name",
    "OneOrMore", "OptionName", "OptionValue", "RelativePath", "RuntimeReference", "Scalar", "Share", "UrlPath",
    "VariableName", "Version",
]  # fmt: skip
