"""An artifact as CNCF ModelPack describes it: an OCI manifest with a config and one raw layer for each file.

Follows model-spec v1 (media types, config, annotations) of modelpack.org and the OCI image specification 1.1. Layers
are the files as they are, so a layer's digest is the file's. There is no time of creation: the same lock gives the same
bytes.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, astuple, dataclass
from pathlib import PurePosixPath
from typing import Any

from compiler.artifact.artifact import Artifact, File
from compiler.artifact.store import layout
from compiler.artifact.store.store import Remark
from compiler.base import digests
from compiler.base.codes import Code

MANIFEST_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHTS = "application/vnd.cncf.model.weight.v1.raw"
SETTINGS = "application/vnd.cncf.model.weight.config.v1.raw"
DOCUMENT = "application/vnd.cncf.model.doc.v1.raw"
FILE_PATH = "org.cncf.model.filepath"

DIGEST = "dev.slmc.digest"
SHAPE = "dev.slmc.shape"

_DOCUMENTS = ("license", "licence", "notice", "readme", "copying")
_SETTINGS = frozenset(
    {".json", ".jsonl", ".jinja", ".model", ".txt", ".yaml", ".yml", ".vocab", ".merges", ".tiktoken"}
)
_FORMATS = {
    ".onnx": "onnx", ".ort": "ort", ".gguf": "gguf", ".tflite": "tflite", ".pte": "executorch", ".xml": "openvino",
    ".safetensors": "safetensors",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Packed:
    """Config and manifest as bytes; `tag` is for people, devices go by digests."""

    config: bytes
    manifest: bytes
    tag: str

    @property
    def digest(self) -> str:
        return digests.of_bytes(self.manifest)


def pack(artifact: Artifact, remarks: tuple[Remark, ...] = ()) -> Packed:
    files = sorted(artifact.files, key=lambda file: file.name)
    config = _config(artifact, files)
    manifest = {
        "schemaVersion": 2,
        "mediaType": layout.MANIFEST,
        "artifactType": MANIFEST_TYPE,
        "config": layout.descriptor(CONFIG_TYPE, config),
        "layers": [_layer(file) for file in files],
        "annotations": {
            layout.NAME: artifact.name,
            layout.MODEL: artifact.model,
            layout.RECIPE: artifact.recipe,
            DIGEST: artifact.digest,
            SHAPE: json.dumps(asdict(artifact.shape), sort_keys=True, separators=(",", ":")),
            layout.REMARKS: json.dumps([astuple(remark) for remark in remarks]),
        },
    }
    return Packed(config, digests.canonical(manifest), tag_of(artifact))


def tag_of(artifact: Artifact) -> str:
    """`<name>-<first 12 digits of the digest>`, within the 128 characters that a tag may have."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', artifact.name)[:100]}-{artifact.digest.removeprefix('sha256:')[:12]}"


def remarks_of(manifest: bytes, artifact: Artifact) -> tuple[Remark, ...]:
    """What the artifact's steps had to say when it was pushed; nothing when that is not what slmc wrote."""
    try:
        found = json.loads(manifest)["annotations"]
        told = json.loads(found[layout.REMARKS]) if found[DIGEST] == artifact.digest else []
        remarks = tuple(Remark(*remark) for remark in told)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    sound = all(
        isinstance(one.step, int) and one.code in Code.__members__ and isinstance(one.message, str) for one in remarks
    )
    return remarks if sound else ()


def _config(artifact: Artifact, files: list[File]) -> bytes:
    name, _, version = artifact.model.partition("@")
    suffixes = [PurePosixPath(file.name).suffix for file in files]
    form = next((_FORMATS[suffix] for suffix in _FORMATS if suffix in suffixes), None)
    config = {"paramSize": _parameters(artifact.shape.parameters)}
    return digests.canonical(
        {
            "descriptor": {"name": name, "version": version, "title": artifact.name},
            "config": config | ({"format": form} if form else {}),
            "modelfs": {"type": "layers", "diffIds": [file.digest for file in files]},
        }
    )


def _layer(file: File) -> dict[str, Any]:
    return {
        "mediaType": _media_type(file.name),
        "digest": file.digest,
        "size": file.size,
        "annotations": {layout.TITLE: file.name, FILE_PATH: file.name},
    }


def _media_type(name: str) -> str:
    path = PurePosixPath(name.lower())
    if path.name.startswith(_DOCUMENTS) or path.suffix in (".md", ".rst"):
        return DOCUMENT
    return SETTINGS if path.suffix in _SETTINGS else WEIGHTS


def _parameters(count: int) -> str:
    """2_412_032 → `2.4M`: one digit behind the point, as the specification wants it."""
    for prefix, size in (("T", 10**12), ("B", 10**9), ("M", 10**6)):
        if count >= size:
            return f"{count / size:.1f}{prefix}"
    return f"{count / 1000:.1f}K"
