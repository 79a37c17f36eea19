"""The JSON of an OCI image layout, as plain values: manifests, descriptors, the index.

Follows the OCI image specification v1.1 (image-layout.md, manifest.md "Guidelines for
Artifact Usage"). All of it is deterministic: the same files give the same manifest digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from compiler.artifact.artifact import File, Shape
from compiler.base import digests
from compiler.base.codes import Code

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"

FORMAT = 2
"""Of an artifact's manifest and config, and of which files of the model go into it as they are. It is part of every
artifact's key: raise it when Shape, the manifest or `making.carried` changes, since that changes digests."""

ARTIFACT = "application/vnd.slmc.artifact.v1"
CONFIG = "application/vnd.slmc.artifact.config.v1+json"
FILE = "application/vnd.slmc.artifact.file.v1"
INTERMEDIATE = "application/vnd.slmc.intermediate.v1"
INTERMEDIATE_CONFIG = "application/vnd.slmc.intermediate.config.v1+json"

ORIGINAL = "application/vnd.slmc.original.v1+json"
EVALUATION = "application/vnd.slmc.evaluation.v1+json"
SPEED = "application/vnd.slmc.speed.v1+json"
REPORT = "application/vnd.slmc.report.v1+json"

TITLE = "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"
KEY = "dev.slmc.key"
NAME = "dev.slmc.name"
MODEL = "dev.slmc.model"
RECIPE = "dev.slmc.recipe"
SOURCE = "dev.slmc.source"
REMARKS = "dev.slmc.remarks"

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
EMPTY_BLOB = b"{}"


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digests.of_bytes(data), "size": len(data)}


def artifact_config(shape: Shape) -> bytes:
    """What the graph says about itself.

    The key is not in here but on the index entry: new tools that give the same bytes give
    the same digest, and no device has to fetch anything.
    """
    return digests.canonical({"shape": asdict(shape)})


def artifact_manifest(shape: Shape, files: Iterable[File]) -> bytes:
    return _manifest(ARTIFACT, descriptor(CONFIG, artifact_config(shape)), files)


def intermediate_manifest(config: bytes, files: Iterable[File]) -> bytes:
    """Of what recipes share on their way."""
    return _manifest(INTERMEDIATE, descriptor(INTERMEDIATE_CONFIG, config), files)


def _manifest(kind: str, config: Mapping[str, Any], files: Iterable[File]) -> bytes:
    return digests.canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": config,
            "layers": [
                {"mediaType": FILE, "digest": file.digest, "size": file.size, "annotations": {TITLE: file.name}}
                for file in sorted(files, key=lambda file: file.name)
            ],
        }
    )


def entry(kind: str, manifest: bytes, notes: Mapping[str, str]) -> dict[str, Any]:
    """What the index has on a manifest."""
    return descriptor(MANIFEST, manifest) | {"artifactType": kind, "annotations": dict(notes)}


def check_entry(entry: Mapping[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for an entry of the index that is not well-formed.

    Entries without a key are not slmc's: of those only what OCI asks for is looked at.
    """
    _ = entry["mediaType"] + entry["digest"], int(entry["size"])
    if not key_of(entry):
        return
    notes = entry["annotations"]
    sound = re.fullmatch(r"sha256:[0-9a-f]{64}", entry["digest"]) and isinstance(entry["artifactType"], str)
    if not sound or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("an entry of the index is not what slmc wrote")
    for step, code, message in remarks_of(entry):
        if not (isinstance(step, int) and code in Code.__members__ and isinstance(message, str)):
            raise ValueError("an entry of the index is not what slmc wrote")


def record_manifest(kind: str, value: bytes, subject: Mapping[str, Any] | None) -> bytes:
    """A manifest with one JSON layer; with a `subject` it is a referrer of that artifact."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": descriptor(EMPTY, EMPTY_BLOB),
        "layers": [descriptor(kind, value)],
    }
    if subject is not None:
        manifest["subject"] = {name: subject[name] for name in ("mediaType", "digest", "size")}
    return digests.canonical(manifest)


def key_of(entry: Mapping[str, Any]) -> str | None:
    """The key of an entry of the index; None when it is not slmc's."""
    key = (entry.get("annotations") or {}).get(KEY)
    return key if isinstance(key, str) else None


def remarks_of(entry: Mapping[str, Any]) -> list[Any]:
    """Step, code and sentence of each remark of an artifact's steps."""
    return list(json.loads(entry["annotations"].get(REMARKS, "[]")))


def files_of(manifest: Mapping[str, Any]) -> tuple[File, ...]:
    return tuple(File(layer["annotations"][TITLE], layer["size"], layer["digest"]) for layer in manifest["layers"])


def index(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """The index, in an order that does not depend on who came first."""
    ordered = sorted(entries, key=lambda e: (e.get("artifactType", ""), key_of(e) or "", e["digest"]))
    return digests.pretty({"schemaVersion": 2, "mediaType": INDEX, "manifests": ordered})


def read_index(data: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The entries of an index that are well-formed, and whether all of it is.

    Only the index has the keys of artifacts, so a damaged one is read entry by entry: each that is whole saves a build.
    """
    try:
        entries = json.loads(data)["manifests"]
        for entry in entries:
            check_entry(entry)
        return entries, True
    except _MALFORMED:
        return list(_sound_entries(data.decode("utf-8", "replace"))), False


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def _sound_entries(text: str) -> Iterator[dict[str, Any]]:
    """Every object in a text that is an entry, wherever it stands."""
    decoder = json.JSONDecoder()
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            entry, end = decoder.raw_decode(text, at)
            check_entry(entry)
            yield entry
            at = end
        except _MALFORMED:
            at += 1
