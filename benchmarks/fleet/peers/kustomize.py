"""kustomize: a base, an overlay for each site and for each device, and a root that has them all.

kustomize renders no text, so the other three files are literals of a ConfigMap, which is less work than the others do.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.fleet import workload
from benchmarks.fleet.workload import Values

_HEAD = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_TOOLS = Path(__file__).parents[3] / ".ci" / "tools" / "bin"


def program() -> str | None:
    return shutil.which("kubectl", path=str(_TOOLS)) or shutil.which("kubectl")


def version(kubectl: str) -> str:
    done = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True, check=True)
    return done.stdout.partition("Kustomize Version:")[2].split()[0]


def command(kubectl: str, sources: Path) -> list[str]:
    return [kubectl, "kustomize", str(sources / "all")]


def write_sources(n: int, folder: Path) -> None:
    _dump(folder / "base" / "deployment.yaml", _base(workload.fleet()))
    base = _overlay("base", workload.fleet(), {})
    del base["configMapGenerator"][0]["behavior"]
    base |= {"namespace": workload.fleet()["fleet"], "resources": ["deployment.yaml"]}
    _dump(folder / "base" / "kustomization.yaml", base)
    for name, values in workload.sites(n).items():
        patch = {
            "metadata": {"name": "slm", "annotations": {"slm.example.com/update-window": values["update_window"]}},
            "spec": _pod({"env": _variables(values)}),
        }
        _dump(folder / "sites" / name / "kustomization.yaml", _overlay("../../base", values, patch))
    for (site, values), all_values in zip(workload.devices(n), workload.resolved(n), strict=True):
        name = values["device"]
        container = {"args": _arguments(all_values), "env": _variables(values), "resources": _limits(values)}
        patch = {"metadata": {"name": "slm"}, "spec": _pod(container, nodeName=name)}
        overlay = _overlay(f"../../sites/{site}", values, patch) | {"nameSuffix": f"-{name}"}
        _dump(folder / "devices" / name / "kustomization.yaml", overlay)
    roots = [f"../devices/{values['device']}" for _, values in workload.devices(n)]
    _dump(folder / "all" / "kustomization.yaml", _HEAD | {"resources": roots})


def _base(fleet: Values) -> Values:
    annotations = {
        "slm.example.com/model-digest": fleet["model_digest"],
        "slm.example.com/update-window": fleet["update_window"],
    }
    container = {
        "image": f"{fleet['runtime_image']}:{fleet['runtime_version']}",
        "args": _arguments(fleet),
        "ports": [{"containerPort": fleet["port"]}],
        "env": _variables(fleet),
        "resources": {"limits": {"cpu": fleet["cpu_limit"], **_limits(fleet)["limits"]}},
    }
    spec = _pod(container, nodeName="unset")
    spec["template"]["metadata"] = {"labels": fleet["labels"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "slm", "labels": fleet["labels"], "annotations": annotations},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "slm"}}, **spec},
    }


def _overlay(below: str, values: Values, patch: Values) -> dict[str, Any]:
    import yaml

    literals = [f"{key}={value}" for key, value in values.items() if not isinstance(value, dict)]
    overlay: dict[str, Any] = {
        **_HEAD,
        "resources": [below],
        "generatorOptions": {"disableNameSuffixHash": True},
        "configMapGenerator": [{"name": "slm-config", "behavior": "merge", "literals": literals}],
    }
    if patch:
        text = yaml.dump({"apiVersion": "apps/v1", "kind": "Deployment", **patch})
        overlay["labels"] = [{"pairs": values["labels"], "includeTemplates": True}]
        overlay["patches"] = [{"target": {"kind": "Deployment"}, "patch": text}]
    return overlay


def _pod(container: Values, **more: Any) -> Values:
    return {"template": {"spec": {**more, "containers": [{"name": "slm", **container}]}}}


def _arguments(values: Values) -> list[str]:
    model = f"{values['model_name']}-{values['model_version']}-{values['quantization']}"
    return [
        f"--model=/models/{model}.onnx",
        f"--threads={values['threads']}",
        f"--max-tokens={values['max_tokens']}",
        f"--telemetry={values['telemetry_endpoint']}",
    ]


def _variables(values: Values) -> list[Values]:
    return [{"name": name, "value": value} for name, value in values["env"].items()]


def _limits(values: Values) -> Values:
    return {"limits": {"memory": f"{values['memory_mb']}Mi"}}


def _dump(path: Path, values: Any) -> None:
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        yaml.dump(values, file, Dumper=yaml.CSafeDumper, sort_keys=False)
