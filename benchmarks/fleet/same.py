"""What the files of the devices say, whoever wrote them: parsed, by device, so that outputs can be compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

DECIDED = "decided by the tool"


def said(output: Path) -> dict[str, bytes]:
    """A digest of the values in the four files of each device below `output`, wherever its folder is.

    The digest of the model is slmc's own to decide and is left out.
    """
    found = {}
    for manifest in output.rglob("manifest.json"):
        values = _values(manifest.parent)
        text = json.dumps(values, sort_keys=True)
        found[values["manifest.json"]["device"]] = hashlib.sha256(text.encode()).digest()
    return found


def _values(folder: Path) -> dict[str, Any]:
    import yaml

    compose, deployment = (
        yaml.load((folder / name).read_bytes(), Loader=yaml.CSafeLoader) for name in ("compose.yaml", "deployment.yaml")
    )
    manifest = json.loads((folder / "manifest.json").read_bytes())
    deployment["metadata"]["annotations"]["slm.example.com/model-digest"] = DECIDED
    manifest["model"]["digest"] = DECIDED
    return {
        "slm.service": (folder / "slm.service").read_text().splitlines(),
        "compose.yaml": compose,
        "deployment.yaml": deployment,
        "manifest.json": manifest,
    }
