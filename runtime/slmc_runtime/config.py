"""What a run is to serve: `serve.json`, over which variables of the environment may be laid."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slmc_runtime.fields import Fields, read
from slmc_runtime.refused import CONFIG, Refused

SERVE = "serve.json"
TEXT_GENERATION, EMBEDDINGS, TEXT_CLASSIFICATION = "text-generation", "embeddings", "text-classification"
TASKS = (TEXT_GENERATION, EMBEDDINGS, TEXT_CLASSIFICATION)
TELEMETRY = ("latency", "errors", "tokens", "memory")
OBJECTIVES = ("latencyP95", "timePerToken", "timeToFirstToken")
LONGEST_CONTEXT = 2**24


@dataclass(frozen=True, slots=True)
class Limits:
    output_tokens: int
    queue: int
    """Requests that wait, beside the one that the model works on."""
    request_bytes: int
    timeout: float
    """Seconds from the first byte of a request to the last of its answer."""


@dataclass(frozen=True, slots=True)
class Run:
    """One entry of `serve.json`. `digest` is that of the artifact, `sha256:…`; objectives are in seconds, by name."""

    name: str
    model: str
    task: str
    artifact: str
    digest: str
    folder: Path
    architecture: str
    context_length: int
    threads: int
    host: str
    port: int
    limits: Limits
    objectives: Mapping[str, float]
    telemetry: tuple[str, ...]


def read_run(bundle: Path, name: str, environment: Mapping[str, str]) -> Run:
    """The run `name` of the bundle. Raises Refused."""
    runs = read(bundle / SERVE).object("runs")
    if name not in runs.values:
        known = ", ".join(sorted(runs.values)) or "none"
        raise Refused(CONFIG, f"{SERVE} has no run `{name}`; its runs: {known}")
    return _overridden(_run(name, runs.object(name)), environment)


def _run(name: str, found: Fields) -> Run:
    artifact, limits, objectives = found.object("artifact"), found.object("limits"), found.object("objectives")
    return Run(
        name=name,
        model=found.text("model"),
        task=found.text("task", TASKS),
        artifact=artifact.text("name"),
        digest=artifact.text("digest"),
        folder=Path(artifact.text("folder")),
        architecture=found.object("device").text("arch"),
        context_length=found.whole("contextLength", 2, LONGEST_CONTEXT),
        threads=found.whole("threads", 1, 1024),
        host=_address(found.text("host"), f"{found.place}.host"),
        port=found.whole("port", 1, 65535),
        limits=Limits(
            output_tokens=limits.whole("outputTokens", 1, LONGEST_CONTEXT),
            queue=limits.whole("queue", 0, 65536),
            request_bytes=limits.whole("requestBytes", 1),
            timeout=limits.seconds("timeoutSeconds"),
        ),
        objectives={key: objectives.seconds(key) for key in OBJECTIVES if key in objectives.values},
        telemetry=_telemetry(found),
    )


def _telemetry(found: Fields) -> tuple[str, ...]:
    words = found.texts("telemetry")
    if unknown := [word for word in words if word not in TELEMETRY]:
        raise Refused(CONFIG, f"{found.place}.telemetry: `{unknown[0]}` is none of {', '.join(TELEMETRY)}")
    return words


def _overridden(run: Run, environment: Mapping[str, str]) -> Run:
    """With the settings that a container gives."""
    if model := environment.get("SLMC_MODEL"):
        run = replace(run, folder=Path(model))
    if host := environment.get("SLMC_HOST"):
        run = replace(run, host=_address(host, "SLMC_HOST"))
    return replace(
        run,
        port=_number(environment, "SLMC_PORT", run.port, 65535),
        threads=_number(environment, "SLMC_THREADS", run.threads, 1024),
        context_length=_number(environment, "SLMC_CONTEXT_LENGTH", run.context_length, LONGEST_CONTEXT),
    )


def _number(environment: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    text = environment.get(name)
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Refused(CONFIG, f"{name} is `{text[:40]}`: it has to be a whole number from 1 to {most}")
    return int(text)


def _address(text: str, place: str) -> str:
    """A name would have to be looked up, and this server asks nobody."""
    if text == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Refused(CONFIG, f"{place} is `{text[:40]}`: it has to be an IP address or localhost") from None
