"""Filters that write a value so that the file's real parser reads back the same value.

A value that a syntax cannot carry raises Refused: it never comes out changed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256 as sha256_of
from json import dumps
from typing import Any

from compiler.base import digests


class Refused(Exception):
    """The value cannot be written in this syntax; the message says why, as a sentence."""


_YAML_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}
_SYSTEMD_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_PLAIN_WORD = re.compile(r"[A-Za-z0-9@:,./_=+-]+")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def yaml(value: Any) -> str:
    """A YAML flow node on one line. Text is always in double quotes, so YAML 1.1 readers see text too.

    YAML 1.2.2, 5.7 (escapes) and 7.3.1 (double-quoted style).
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return f'"{_escaped(value, _yaml_character)}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml(str(key))}: {yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ", ".join(yaml(inner) for inner in value) + "]"
    raise Refused(f"YAML has no value for {_kind(value)}.")


def json(value: Any) -> str:
    """A JSON value on one line, keys in the order that they have: RFC 8259. What is JSON in JSON is written twice."""
    try:
        return _encodable(dumps(value, ensure_ascii=False, allow_nan=False, default=_no_json))
    except ValueError as error:
        raise Refused("JSON has no number that is infinite or none at all.") from error


def _no_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise Refused(f"JSON has no value for {_kind(value)}.")


def sha256(value: Any) -> str:
    """The sha256 of a text's UTF-8, in hex digits."""
    return sha256_of(_encodable(_text(value)).encode()).hexdigest()


def dollars(value: Any) -> Any:
    """`$` doubled, in text or in each text of a list: Compose and Kubernetes expand a single one."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    return tuple(dollars(inner) for inner in value)


def systemd(value: Any) -> str:
    """One word of a unit file, for `Environment=` and settings like it.

    systemd.syntax(7), "Quoting", and `%%` for `%`: systemd.unit(5), "Specifiers".
    """
    text = _encodable(_text(value)).replace("%", "%%")
    if "\0" in text:
        raise Refused("A unit file cannot carry a NUL character.")
    if _PLAIN_WORD.fullmatch(text):
        return text
    return f'"{_escaped(text, _systemd_character)}"'


def systemd_command(value: Iterable[str]) -> str:
    """A command line for `ExecStart=`: systemd.service(5), "Command lines" (`$$` for `$`)."""
    return " ".join(systemd(dollars(word)) for word in value)


def quadlet_command(value: Iterable[str]) -> str:
    """Words for `Exec=` of a Quadlet file: as for systemd, but for two that podman's generator loses (5.4.2).

    It reads no further than an empty word, and hands a lone `;` to systemd as the end of the command.
    """
    words = tuple(value)
    if lost := [word for word in words if word in ("", ";")]:
        raise Refused(f"Quadlet cannot carry {lost[0]!r} as a word of a command.")
    return systemd_command(words)


def env(value: Any) -> str:
    """A value in double quotes for an environment file, as `EnvironmentFile=` of systemd and sh read it."""
    text = _encodable(_text(value))
    if "\0" in text:
        raise Refused("An environment file cannot carry a NUL character.")
    return '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'


def shell(value: Any) -> str:
    """One word for sh."""
    text = _encodable(_text(value))
    if "\0" in text:
        raise Refused("A shell word cannot carry a NUL character.")
    return shlex.quote(text)


def nft(value: Any) -> str:
    """A string of an nftables rule file, in quotes. nft(8) has no escapes and ends a comment at 128 bytes."""
    text = _encodable(_text(value))
    if len(text.encode()) > 128 or not re.fullmatch(r'[^"\\\x00-\x1f\x7f]*', text):
        raise Refused(f"nftables cannot carry {text!r} in a string: no quotes, control characters, or over 128 bytes.")
    return f'"{text}"'


def comment(value: Any) -> str:
    """Text to stand in a `#` comment: on one line, without a backslash that would continue it."""
    return "".join(c if c.isprintable() and c != "\\" else "?" for c in _encodable(_text(value)))


def dns_label(value: Any) -> str:
    """A name for a Kubernetes object: RFC 1123 label, at most 63 characters.

    A name that has to change gets 8 digits of its own digest, so that two names stay two.
    """
    text = _text(value)
    plain = re.sub(r"[^a-z0-9-]", "-", text.lower()).strip("-")
    if plain == text and len(plain) <= 63:
        return plain
    return f"{plain[:54].rstrip('-')}-{_short(text)}".lstrip("-")


def label_value(value: Any) -> str:
    """A value for a Kubernetes label: `/` becomes `_`; what still does not fit gets a digest, as in dns_label."""
    text = _text(value)
    plain = text.replace("/", "_")
    if len(plain) <= 63 and _LABEL.fullmatch(plain):
        return plain
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', plain)[:54].strip('._-')}-{_short(text)}".lstrip("-")


FILTERS: dict[str, Callable[..., Any]] = {
    "comment": comment,
    "dns_label": dns_label,
    "dollars": dollars,
    "env": env,
    "json": json,
    "label_value": label_value,
    "nft": nft,
    "quadlet_command": quadlet_command,
    "sha256": sha256,
    "shell": shell,
    "systemd": systemd,
    "systemd_command": systemd_command,
    "yaml": yaml,
}


def written(value: Any) -> Any:
    """What `{{ value }}` may write as it stands: text and numbers, nothing that Python would spell its own way."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise Refused(f"{_kind(value)} cannot be written as it stands; a filter such as `yaml` says how.")


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "An absent value", True: "True", False: "False"}[value]
    if isinstance(value, Mapping):
        return "A mapping"
    return "A list" if isinstance(value, list | tuple) else f"A {type(value).__name__}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(written(value))


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"{text!r} holds half a surrogate pair, which is no character.") from error
    return text


def _escaped(text: str, character: Callable[[str], str]) -> str:
    """`text` with each character written by `character`; most texts need nothing."""
    if text.isprintable() and "\\" not in text and '"' not in text:
        return text
    return "".join(map(character, _encodable(text)))


def _yaml_character(c: str) -> str:
    return _YAML_ESCAPES.get(c) or (c if c.isprintable() else _numbered(c, 0x100))


def _systemd_character(c: str) -> str:
    return _SYSTEMD_ESCAPES.get(c) or (c if c.isprintable() else _numbered(c, 0x80))


def _numbered(c: str, below: int) -> str:
    r"""`\x01`, `\u2028` or `\U000e0001`; `\x` only `below` a number, for beyond ASCII it means a byte to systemd."""
    number = ord(c)
    return f"\\x{number:02x}" if number < below else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _short(text: str) -> str:
    return digests.of_bytes(text.encode(errors="surrogatepass")).removeprefix("sha256:")[:8]
