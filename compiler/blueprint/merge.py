"""Documents → one Blueprint: every entry is checked by itself, the files merge by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, has_errors
from compiler.blueprint.blueprint import Blueprint, Places
from compiler.blueprint.door import check, check_entry
from compiler.blueprint.file_spec import API_VERSION, KIND, SECTIONS, EnvelopeSpec
from compiler.syntax.document import Document, Mapping

Entry = tuple[str, str]
"""A section, spelt as in YAML, and a name in it."""


def merge(documents: Iterable[Document]) -> tuple[Blueprint, list[Diagnostic]]:
    """Check every entry of every section, and lay the files over each other by name.

    An entry that is wrong is reported and left out; it stays known as `broken`, so that a
    reference to it is not reported too. Of two definitions, the first file's counts.
    """
    documents = list(documents)
    diagnostics: list[Diagnostic] = []
    owners: dict[Entry, Document] = {}
    broken: set[Entry] = set()
    valid: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    complete = all(document.complete for document in documents)
    for document in documents:
        of_envelope, readable = _envelope(document)
        diagnostics += of_envelope
        complete = complete and readable
        for section, name in _entries(document) if readable else ():
            if (section, name) in owners:
                diagnostics.append(_duplicate(owners[section, name], document, section, name))
                continue
            owners[section, name] = document
            spec, of_entry = check_entry(document, section, name)
            diagnostics += of_entry
            if spec is None:
                broken.add((section, name))
            else:
                valid[section][name] = spec
    blueprint = Blueprint(
        valid["models"],
        valid["recipes"],
        valid["deviceClasses"],
        valid["runtimes"],
        valid["fleets"],
        Places(owners),
        frozenset(broken),
        complete=complete,
    )
    return blueprint, diagnostics


def _envelope(document: Document) -> tuple[list[Diagnostic], bool]:
    """What stands around the entries, and whether the entries can be looked at."""
    if not document.complete and not document.data:
        return [], False  # the text could not be read, and that was reported
    wrong = [_version(document, key, value) for key, value in (("apiVersion", API_VERSION), ("kind", KIND))]
    versions = [diagnostic for diagnostic in wrong if diagnostic is not None]
    found = versions + check(document, EnvelopeSpec)[1]
    # Another version of the format may mean anything by its keys.
    return found, not has_errors(versions)


def _version(document: Document, key: str, wanted: str) -> Diagnostic | None:
    """UNSUPPORTED_VERSION for a value of `key` that slmc does not know. A missing key is the door's to report."""
    value = document.data.get(key, wanted)
    if value == wanted:
        return None
    return Diagnostic(
        Code.UNSUPPORTED_VERSION,
        f"`{key}` is {f'`{value}`' if isinstance(value, str) else 'not text'}; this slmc reads `{wanted}`.",
        document.value((key,)),
        help=f"Write `{key}: {wanted}`.",
    )


def _entries(document: Document) -> Iterator[Entry]:
    for section in SECTIONS:
        entries = document.data.get(section)
        if isinstance(entries, Mapping):
            for name in entries:
                yield section, name


def _duplicate(first: Document, second: Document, section: str, name: str) -> Diagnostic:
    path = (section, name)
    return Diagnostic(
        Code.DUPLICATE_DEFINITION,
        f"`{name}` is defined twice in `{section}`.",
        second.key(path),
        related=((first.key(path), "first defined here"),),
        help="Files merge by name. Rename or remove one of the two.",
    )
