"""Bundles as slmc writes them for its own runtime, with real artifacts and the compiler's own golden answers."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from compiler.artifact.artifact import Answer, Golden
from compiler.artifact.evaluation.golden import derive
from compiler.artifact.evaluation.request import Request
from compiler.bundle.manifest import golden_json, sums
from tests.conftest import REPOSITORY

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
HELLO = REPOSITORY / "blueprints" / "hello"
PYDOC = HELLO / "models" / "pydoc-1.0"
HELDOUT = HELLO / "data" / "heldout.jsonl"
ARTIFACT = "pydoc-1.0.0-int4-small"
DIGEST = "sha256:" + "c" * 64
LIMITS = {"outputTokens": 64, "queue": 4, "requestBytes": 65536, "timeoutSeconds": 30.0}


@dataclass(slots=True)
class Plan:
    """A bundle to be. `serve` is laid over the run's entry in `serve.json`, `limits` over its limits."""

    model: Path
    data: Path
    task: str = "text-generation"
    serve: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    golden: bool = True


def write(folder: Path, plan: Plan) -> Path:
    """The bundle's folder. Its run is called `counter`; its port is of no use until `serve` gives one."""
    folder.mkdir(parents=True)
    files = {
        "artifacts.json": _json({"artifacts": [_artifact(plan.model)]}),
        "serve.json": _json({"runs": {"counter": entry(plan)}}),
    }
    if plan.golden:
        files["golden.json"] = _golden(plan)
    for name, data in {**files, "SHA256SUMS": sums(files)}.items():
        (folder / name).write_bytes(data)
    return folder


def entry(plan: Plan) -> dict[str, Any]:
    return {
        "artifact": {"digest": DIGEST, "folder": str(plan.model), "name": ARTIFACT},
        "contextLength": 512,
        "device": {"arch": ARCHITECTURE, "memory": 8589934592},
        "host": "127.0.0.1",
        "port": 1,
        "limits": {**LIMITS, **plan.limits},
        "model": "pydoc@1.0.0",
        "objectives": {"latencyP95": 2.2, "timePerToken": 0.03, "timeToFirstToken": 0.37},
        "task": plan.task,
        "telemetry": ["latency", "errors", "tokens", "memory"],
        "threads": 1,
        **plan.serve,
    }


def change(folder: Path, name: str, text: str) -> None:
    """Write a file of the bundle anew, with the checksums that belong to it."""
    (folder / name).write_text(text, encoding="utf-8")
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "SHA256SUMS"}
    (folder / "SHA256SUMS").write_bytes(sums(files))


def bundle_id(folder: Path) -> str:
    return hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()


def _artifact(model: Path) -> dict[str, Any]:
    data = {path.name: path.read_bytes() for path in sorted(model.iterdir()) if path.is_file()}
    files = [
        {"name": name, "size": len(content), "digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}
        for name, content in data.items()
    ]
    return {"name": ARTIFACT, "digest": DIGEST, "folder": str(model), "size": 1, "runs": ["counter"], "files": files}


def _golden(plan: Plan) -> bytes:
    found = derive(plan.task, plan.model, Request(plan.model, (plan.model,), plan.data, 10**6, 1))
    assert found is not None
    answers = tuple(Answer(**{key: _tuple(value) for key, value in one.items()}) for one in found["answers"])
    golden = Golden(found["task"], found["tolerance"], answers, tuple(found.get("cosines", ())))
    artifact = SimpleNamespace(name=ARTIFACT, digest=DIGEST, golden=golden)
    text = golden_json([SimpleNamespace(name="counter", artifact=artifact)], {ARTIFACT: artifact})  # type: ignore
    assert text is not None
    return text


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
