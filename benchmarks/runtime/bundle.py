"""The least bundle that the server takes: no golden answers, a free port."""

from __future__ import annotations

import hashlib
import json
import platform
import socket
from pathlib import Path
from typing import Any

DEVICE_LIMITS = {"outputTokens": 1024, "queue": 4, "requestBytes": 65536, "timeoutSeconds": 60.0}
_DIGEST = f"sha256:{'b' * 64}"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def context_of(model: Path) -> int:
    return int(json.loads((model / "genai_config.json").read_bytes())["model"]["context_length"])


def write(folder: Path, model: Path, threads: int) -> Path:
    """Of a folder that onnxruntime-genai loads."""
    bundle = folder / "bundle"
    bundle.mkdir()
    files = {"artifacts.json": _artifacts(model), "serve.json": {"runs": {"counter": _run(model, threads)}}}
    for name, value in files.items():
        (bundle / name).write_text(json.dumps(value, indent=2) + "\n")
    digests = {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in files}
    (bundle / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    return bundle


def _artifacts(model: Path) -> dict[str, Any]:
    files = [{"name": p.name, "size": p.stat().st_size, "digest": _DIGEST} for p in model.iterdir() if p.is_file()]
    return {"artifacts": [{"digest": _DIGEST, "files": files}]}


def _run(model: Path, threads: int) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    return {
        "artifact": {"digest": _DIGEST, "folder": str(model), "name": "benchmark"},
        "contextLength": context_of(model),
        "device": {"arch": _ARCHITECTURES.get(platform.machine(), platform.machine())},
        "host": "127.0.0.1",
        "port": port,
        "limits": DEVICE_LIMITS,
        "model": "pydoc@benchmark",
        "objectives": {},
        "task": "text-generation",
        "telemetry": ["latency", "errors", "tokens", "memory"],
        "threads": threads,
    }
