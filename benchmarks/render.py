"""CPU time of rendering the four files of one device, beside Jinja itself: `python benchmarks/render.py`.

The templates are those of a usual fleet (systemd unit, Compose file, Deployment, manifest), once in slmc's names and
filters, once as people write them for plain Jinja with a dict. Best of several rounds, each round all columns in turn.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, StrictUndefined
from jinja2.compiler import CodeGenerator

from compiler.artifact.artifact import Artifact, Artifacts, File, Quality, Shape
from compiler.base.span import Source, Span
from compiler.bundle.context import TargetFacts, cohort_context
from compiler.bundle.environment import TargetEnvironment, renderer
from compiler.bundle.targets import Target
from compiler.fit.check import Estimate, check
from compiler.fleet.devices import Device, Origins
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, Model, Privacy, Recipe, Run

DEVICES, ROUNDS = 200, 9
PLACE = Span(Source("fleet.slmc.yaml", "fleets: {}\n"), 1, 1, 6)
MIB = 2**20

SERVICE = """\
[Unit]
Description=SLM {{ run.model.name }} on {{ cohort.name }} ({{ run.parameters.site }}/{{ fleet.region }})
After=network-online.target

[Service]
Type=simple
{% for k, v in run.environment|dictsort %}
Environment={{ (k ~ "=" ~ v) | systemd }}
{% endfor %}
ExecStart=/usr/bin/slm-serve --model {{ run.artifact.folder }}/model.onnx --threads {{ run.threads }} --port {{ run.port }} --max-tokens {{ run.parameters.max_tokens }} --log-level {{ run.parameters.log_level | systemd }}
RestartSec={{ run.parameters.restart_sec }}
MemoryMax={{ run.memory_limit }}

[Install]
WantedBy=multi-user.target
"""  # noqa: E501

COMPOSE = """\
services:
  slm:
    image: {{ run.image | yaml }}
    platform: {{ ("linux/" ~ cohort.device_class.arch) | yaml }}
    ports:
      - {{ (run.port ~ ":" ~ run.port) | yaml }}
    environment:
{% for k, v in run.environment|dictsort %}
      {{ k | yaml }}: {{ v | yaml }}
{% endfor %}
    labels:
{% for k, v in run.parameters.labels|dictsort %}
      {{ k | yaml }}: {{ v | yaml }}
{% endfor %}
    command:
      - "--model"
      - {{ (run.artifact.folder ~ "/model.onnx") | yaml }}
      - "--threads"
      - "{{ run.threads }}"
      - "--max-tokens"
      - "{{ run.parameters.max_tokens }}"
    deploy:
      resources:
        limits:
          cpus: {{ run.parameters.cpu_limit | yaml }}
          memory: "{{ run.memory_limit }}"
"""

DEPLOY = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ ("slm-" ~ cohort.name) | yaml }}
  namespace: {{ fleet.name | yaml }}
  labels:
{% for k, v in run.parameters.labels|dictsort %}
    {{ k | yaml }}: {{ v | yaml }}
{% endfor %}
  annotations:
    slm.example.com/model-digest: {{ run.artifact.digest | yaml }}
    slm.example.com/update-window: {{ run.parameters.update_window | yaml }}
spec:
  selector:
    matchLabels:
      device: {{ cohort.name | yaml }}
  template:
    metadata:
      labels:
{% for k, v in run.parameters.labels|dictsort %}
        {{ k | yaml }}: {{ v | yaml }}
{% endfor %}
    spec:
      nodeName: {{ cohort.name | yaml }}
      containers:
        - name: slm
          image: {{ run.image | yaml }}
          args:
            - {{ ("--model=" ~ run.artifact.folder ~ "/model.onnx") | yaml }}
            - "--threads={{ run.threads }}"
            - "--max-tokens={{ run.parameters.max_tokens }}"
            - {{ ("--telemetry=" ~ run.parameters.telemetry_endpoint) | yaml }}
          ports:
            - containerPort: {{ run.port }}
          env:
{% for k, v in run.environment|dictsort %}
            - name: {{ k | yaml }}
              value: {{ v | yaml }}
{% endfor %}
          resources:
            limits:
              cpu: {{ run.parameters.cpu_limit | yaml }}
              memory: "{{ run.memory_limit }}"
"""

MANIFEST = """\
{
  "accelerator": {{ run.parameters.accelerator|tojson }},
  "arch": {{ cohort.device_class.arch|tojson }},
  "device": {{ cohort.name|tojson }},
  "env": {
{% for k, v in run.environment|dictsort %}
    {{ k|tojson }}: {{ v|tojson }}{{ "" if loop.last else "," }}
{% endfor %}
  },
  "fleet": {{ fleet.name|tojson }},
  "labels": {
{% for k, v in run.parameters.labels|dictsort %}
    {{ k|tojson }}: {{ v|tojson }}{{ "" if loop.last else "," }}
{% endfor %}
  },
  "log_level": {{ run.parameters.log_level|tojson }},
  "max_tokens": {{ run.parameters.max_tokens }},
  "memory": {{ run.memory_limit }},
  "model": {
    "digest": {{ run.artifact.digest|tojson }},
    "name": {{ run.model.name|tojson }},
    "recipe": {{ run.recipe|tojson }},
    "version": {{ run.model.version|tojson }}
  },
  "port": {{ run.port }},
  "region": {{ fleet.region|tojson }},
  "runtime": {
    "image": {{ run.image|tojson }},
    "task": {{ run.model.task|tojson }}
  },
  "site": {{ run.parameters.site|tojson }},
  "telemetry_endpoint": {{ run.parameters.telemetry_endpoint|tojson }},
  "threads": {{ run.threads }},
  "update_window": {{ run.parameters.update_window|tojson }}
}
"""

TEMPLATES = {"slm.service": SERVICE, "compose.yaml": COMPOSE, "deployment.yaml": DEPLOY, "manifest.json": MANIFEST}


Workload = tuple[Fleet, Artifacts, tuple[Estimate, ...]]
"""A fleet whose every device is a cohort of its own, and what was measured and estimated of it."""


class PlainEnvironment(TargetEnvironment):
    """slmc's environment with the code that Jinja makes by itself."""

    code_generator_class = CodeGenerator


def workload(devices: int) -> Workload:
    """Every device with values of its own, as sites and devices override them."""
    model = Model("assistant", "1.4.0", "text-generation", "MIT", "models/a", "data/a.jsonl", 4096, PLACE, PLACE)
    recipe = Recipe("int4", (), (), PLACE)
    hardware = DeviceClass(
        "pi", "arm64", 8192 * MIB, 65536 * MIB, 0, 0, 4, ("dotprod",), (), 12.0, 80.0, "2025-12", 252, PLACE
    )
    cohorts = []
    privacy, unasked = Privacy("personal", "eu", "deny", ()), cast("Origins", None)
    for index in range(devices):
        name, site = f"dev-{index:06d}", f"site-{index // 50:05d}"
        labels = {"app": "slm", "team": "edge-ml", "tier": "prod", "site": site, "device": name}
        environment = {
            "OMP_WAIT_POLICY": "PASSIVE",
            "SLM_CACHE": "/var/cache/slm",
            "SLM_SITE": site,
            "SERIAL": f"sn-{index}",
        }
        parameters = {
            "site": site, "max_tokens": 256, "log_level": "debug" if index % 10 == 0 else "info", "restart_sec": 5,
            "cpu_limit": "2", "update_window": f"{index % 24:02d}:00-{(index + 2) % 24:02d}:00", "labels": labels,
            "telemetry_endpoint": f"https://telemetry.{site}.example.com/v1/otlp", "accelerator": "none",
        }  # fmt: skip
        run = Run(
            "assistant", model, recipe, 2 + index % 4 * 2, None, (512 + index % 8 * 128) * MIB,
            "registry.example/slm-server:2.3.1", ("/bin/slm",), 8080, tuple(environment.items()), PLACE,
            tuple(parameters.items()),
        )  # fmt: skip
        cohorts.append(Cohort(name, hardware, (run,), (Device(name, "pi", (), PLACE),), privacy, unasked))
    fleet = Fleet("retail-edge", "eu-west", (), privacy, tuple(cohorts), PLACE)
    artifact = Artifact(
        "assistant-1.4.0-int4", model.id, "int4", "sha256:" + "b" * 64, "sha256:" + "c" * 64,
        (File("model.onnx", 100 * MIB, "sha256:" + "d" * 64),), Shape(2_000_000, 100 * MIB, 1024, 2048),
        Quality({}, {}),
    )  # fmt: skip
    artifacts = Artifacts({artifact.name: artifact}, {})
    return fleet, artifacts, check([fleet], artifacts)[0]


def contexts(work: Workload) -> list[dict[str, Any]]:
    """What the templates see of every cohort, as the bundle stage makes it for a file of a run."""
    target, found = TargetFacts("bench", "Four files", {}), []
    fleet, artifacts, estimates = work
    for cohort, estimate in zip(fleet.cohorts, estimates, strict=True):
        context = cohort_context(fleet, cohort, artifacts, estimate, cohort.name) | {"target": target}
        found.append(context | {"run": context["runs"][0]})
    return found


def as_people_write_it(text: str) -> str:
    """The template for plain Jinja and a flat dict: no filter but Jinja's own, quotes written around text."""

    def output(found: re.Match[str]) -> str:
        inner, filtered = re.subn(r"\s*\|\s*(yaml|systemd)\s*$", "", found[1].strip())
        quote = '"' if filtered and "yaml" in found[1] else ""
        return f"{quote}{{{{ {inner} }}}}{quote}"

    text = re.sub(r"\{\{(.*?)\}\}", output, text)
    return re.sub(r"\b(run|fleet|cohort|model|parameters|artifact|device_class)\.(?=\w)", "", text)


def flat(context: dict[str, Any]) -> dict[str, Any]:
    """The same values as one flat dict, which is all that plain Jinja is given."""
    run, fleet, cohort = context["run"], context["fleet"], context["cohort"]
    own = ("threads", "port", "memory_limit", "environment", "image", "recipe")
    values = {name: getattr(run, name) for name in own} | {
        name: getattr(run.model, name) for name in ("version", "task")
    }
    values |= dict(run.parameters) | {"folder": run.artifact.folder, "digest": run.artifact.digest}
    return values | {"region": fleet.region, "arch": cohort.device_class.arch, "name": cohort.name}


def afresh(environment: TargetEnvironment) -> bool:
    """Forget what filters made of which text, as if these devices were the first."""
    for memory in environment.memory.values():
        memory.clear()
    return True


def microseconds(work: Callable[[], object], files: int) -> float:
    begin = time.process_time()
    work()
    return (time.process_time() - begin) * 1e6 / files


Column = Callable[[], object]


def columns(name: str, seen: list[dict[str, Any]], quick: TargetEnvironment, slow: TargetEnvironment) -> list[Column]:
    """What is measured for one file: slmc, slmc with Jinja's own code, plain Jinja."""
    fast, by_jinja = (renderer(environment.get_template(name)) for environment in (quick, slow))
    assert [fast(context) for context in seen] == [by_jinja(context) for context in seen]
    plain = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
    native, dicts = plain.from_string(as_people_write_it(TEMPLATES[name])), [flat(context) for context in seen]
    return [
        lambda: afresh(quick) and [fast(context) for context in seen],
        lambda: [by_jinja(context) for context in seen],
        lambda: [native.render(values) for values in dicts],
    ]


def main() -> None:
    work = workload(DEVICES)
    seen = contexts(work)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in TEMPLATES.items():
            Path(folder, name).write_text(text)
        target = Target("bench", "Four files", (), (), Path(folder), "bench")
        quick, slow = TargetEnvironment(target), PlainEnvironment(target)
        measured = {name: columns(name, seen, quick, slow) for name in TEMPLATES}
        rounds = [
            {name: [microseconds(column, DEVICES) for column in found] for name, found in measured.items()}
            for _ in range(ROUNDS)
        ]
        making = min(microseconds(lambda: contexts(work), DEVICES) for _ in range(ROUNDS))
    rows = {name: [min(column) for column in zip(*(r[name] for r in rounds), strict=True)] for name in TEMPLATES}
    rows["all four"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    print(f"{'CPU µs per file':18}{'slmc':>10}{'slmc, code by Jinja':>22}{'plain jinja2':>15}{'slmc / plain':>15}")
    for name, (ours, by_jinja, plain) in rows.items():
        print(f"{name:18}{ours:10.1f}{by_jinja:22.1f}{plain:15.1f}{ours / plain:15.2f}")
    print(f"\nTo make what the templates see of a cohort: {making:.1f} µs.")


if __name__ == "__main__":
    main()
