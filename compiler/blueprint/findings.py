"""pydantic's errors → diagnostics, one for each mistake. Errors are told apart by `type`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean, near_name
from compiler.blueprint.located import Located, Locator
from compiler.blueprint.words import (
    allowed_help,
    describe,
    expected_words,
    limit_words,
    one_of,
    sentence,
    subject,
    type_help,
)
from compiler.syntax.document import Document, Mapping, Path, Sequence


class Findings:
    """The findings about one value, which stands at `prefix` of `document`."""

    def __init__(self, document: Document, prefix: Path, locator: Locator) -> None:
        self._document = document
        self._prefix = prefix
        self._locator = locator

    def of(self, errors: Iterable[Any]) -> list[Diagnostic]:
        """One diagnostic for each mistake: a misspelt key is not reported as missing too."""
        located = [(error, self._locator.locate(error["loc"])) for error in errors]
        meant = self._meant_keys(located)
        not_missing = {(*path[:-1], key) for path, key in meant.items()}
        return [
            self._diagnostic(error, at, meant.get(at.path))
            for error, at in located
            if error["type"] != "missing" or at.path not in not_missing
        ]

    def _meant_keys(self, located: list[tuple[Any, Located]]) -> dict[Path, str]:
        """What unknown keys were meant to be: a key with a similar name, or the only one that is missing."""
        unknown: dict[Path, list[Located]] = {}
        missing: dict[Path, list[str]] = {}
        for error, at in located:
            if error["type"] == "extra_forbidden":
                unknown.setdefault(at.path[:-1], []).append(at)
            elif error["type"] == "missing":
                missing.setdefault(at.path[:-1], []).append(str(at.path[-1]))
        meant: dict[Path, str] = {}
        for owner, keys in unknown.items():
            written = self._value(owner)
            free = set(self._locator.aliases(keys[0].owner)) - set(written if isinstance(written, Mapping) else ())
            lacking = missing.get(owner, [])
            only = lacking[0] if len(lacking) == len(keys) == 1 else None
            for at in keys:
                if key := near_name(str(at.path[-1]), free) or only:
                    meant[at.path] = key
        return meant

    def _diagnostic(self, error: Any, at: Located, meant: str | None) -> Diagnostic:
        kind = error["type"]
        if kind == "extra_forbidden":
            return self._unknown_key(at, meant)
        if kind == "missing":
            return self._missing_key(at)
        if kind == "union_tag_not_found":
            return self._missing_tag(at)
        if kind == "union_tag_invalid":
            tag = str(at.schema["discriminator"])
            at.path, at.required = (*at.path, tag), True
            return self._not_allowed(at, list(self._locator.choices(at.schema)))
        if kind == "literal_error":
            return self._not_allowed(at, at.schema["expected"])
        if at.at_key:
            return self._bad_key(error, at)
        if (expected := expected_words(error)) or self._value(at.path) is None:
            return self._wrong_type(expected or "a value", at)
        message, way = limit_words(error, subject(self._prefix + at.path), self._described(at.path))
        return self._at_value(Code.BAD_VALUE, message, at.path, way)

    def _unknown_key(self, at: Located, meant: str | None) -> Diagnostic:
        name = str(at.path[-1])
        known = set(self._locator.aliases(at.owner)) - {name}
        if meant is None:
            way = self._goes_with(name, at) or did_you_mean(name, known)
        else:
            way = f"`{meant}` has a similar name." if near_name(name, [meant]) else f"`{meant}` is required here."
        message = f"`{name}` is not a key of {subject(self._prefix + at.path[:-1])}."
        return Diagnostic(Code.UNKNOWN_KEY, message, self._document.key(self._prefix + at.path), help=way)

    def _goes_with(self, name: str, at: Located) -> str | None:
        """The help for a key that belongs to another kind of the same mapping."""
        for union in reversed(at.unions):
            choices = self._locator.choices(union)
            tags = [
                tag
                for tag, choice in choices.items()
                if any(name in self._locator.aliases(kind) for kind in self._flat(choice))
            ]
            if tags and len(tags) < len(choices):
                return f"`{name}` goes with `{union['discriminator']}: {'` or `'.join(tags)}`."
        return None

    def _missing_key(self, at: Located) -> Diagnostic:
        key = str(at.path[-1])
        description = self._locator.description(at.owner, key)
        return self._lacks(at.path[:-1], key, f"Add `{key}`. {description or ''}".rstrip())

    def _lacks(self, owner: Path, key: str, way: str) -> Diagnostic:
        path = self._prefix + owner
        message = sentence(f"{subject(path)} lacks `{key}`.")
        return Diagnostic(Code.MISSING_KEY, message, self._document.key(path), help=way)

    def _missing_tag(self, at: Located) -> Diagnostic:
        """A mapping without the key that says which kind it is; perhaps that key is misspelt."""
        tag = str(at.schema["discriminator"])
        known = {alias for choice in self._flat(at.schema) for alias in self._locator.aliases(choice)}
        for key in self._value(at.path) or ():
            if key not in known and near_name(key, [tag]):
                owner = subject(self._prefix + at.path)
                span = self._document.key((*self._prefix, *at.path, key))
                message = f"`{key}` is not a key of {owner}."
                return Diagnostic(Code.UNKNOWN_KEY, message, span, help=f"`{tag}` has a similar name.")
        tags = ", ".join(f"`{one}`" for one in self._locator.choices(at.schema))
        return self._lacks(at.path, tag, f"Add `{tag}`, which is one of {tags}.")

    def _flat(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """What a mapping, or a union of unions of them, may be in the end."""
        if schema["type"] != "tagged-union":
            return [schema]
        return [kind for choice in self._locator.choices(schema).values() for kind in self._flat(choice)]

    def _not_allowed(self, at: Located, allowed: list[Any]) -> Diagnostic:
        value = self._value(at.path)
        if type(value) not in {type(one) for one in allowed}:
            return self._wrong_type(one_of(allowed), at)
        message = f"{self._described(at.path)} is not allowed for {subject(self._prefix + at.path)}."
        return self._at_value(Code.BAD_VALUE, sentence(message), at.path, allowed_help(value, allowed))

    def _wrong_type(self, expected: str, at: Located) -> Diagnostic:
        value = self._value(at.path)
        name = subject(self._prefix + at.path)
        if value is None:
            message = f"{name} has no value; {expected} was expected."
            way: str | None = "Write a value." if at.required else "Write a value, or leave it out."
        else:
            message = f"{name} is {self._described(at.path)}; {expected} was expected."
            way = type_help(expected, value, self._written(at.path), self._locator.aliases(at.schema))
        return self._at_value(Code.WRONG_TYPE, sentence(message), at.path, way)

    def _bad_key(self, error: Any, at: Located) -> Diagnostic:
        name = str(at.path[-1])
        message, way = limit_words(error, f"`{name}`", f"`{name}`")
        return Diagnostic(Code.BAD_VALUE, message, self._document.key(self._prefix + at.path), help=way)

    def _at_value(self, code: Code, message: str, path: Path, way: str | None) -> Diagnostic:
        return Diagnostic(code, message, self._document.value(self._prefix + path), help=way)

    def _described(self, path: Path) -> str:
        return describe(self._value(path), self._written(path))

    def _written(self, path: Path) -> str:
        """A scalar as it was written: `1.10`, which as a number is 1.1."""
        value = self._value(path)
        span = self._document.value(self._prefix + path)
        shown = span.source.line(span.line)[span.column - 1 :][: span.length]
        return str(value) if isinstance(value, str) or shown[:1] in ("*", "&", "!") else shown

    def _value(self, path: Path) -> Any:
        """What was written at `path`, which exists unless a key is missing."""
        value: Any = self._document.data
        for step in self._prefix + path:
            if isinstance(value, (Mapping, Sequence)):
                try:
                    value = value[step]  # type: ignore[index]
                except (KeyError, IndexError):
                    return None
        return value
