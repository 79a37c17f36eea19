"""Figures of artifacts and originals: from the store where they are kept, otherwise measured now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from compiler.artifact.artifact import SOURCE, Answer, Figure, Golden, Quality, Speed
from compiler.artifact.converters import environment
from compiler.artifact.converters.formats import RUNTIMES, converted
from compiler.artifact.evaluation.metrics import METRICS
from compiler.artifact.measuring import machine
from compiler.artifact.measuring.beside import Beside
from compiler.artifact.process import Failed, run
from compiler.artifact.store import layout
from compiler.artifact.store.store import Label, Store, Stored
from compiler.base import digests
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Model
from compiler.plan.actions import Action

EVALUATOR_VERSION = 3
SPEED_VERSION = 3

Folder = Callable[[str, Stored], Path]
"""Gives an artifact's files under their names, in a folder of this name. Asked only when something is measured."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact whose quality is wanted."""

    action: Action
    stored: Stored
    beside: Beside


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one artifact, and its original's own figures; or why it cannot be evaluated."""

    quality: Quality | None
    original: Mapping[str, Figure]
    golden: Golden | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What measuring a model and its artifacts needs: `progress` gets a short line for each thing that takes time."""

    model: Model
    original: Path
    """The folder of the model as it came, or as it was exported."""
    workspace: Path
    store: Store
    folder: Folder
    progress: Callable[[str], None]
    made: str = ""
    """What made the original's graph, with its version; empty for a model that came with one."""

    def qualities(self, wanted: list[Wanted]) -> tuple[dict[str, Measured], list[Diagnostic]]:
        """Quality of artifacts of one model, by name; none when the data is too little to measure on.

        Those that the store does not know are measured together, in one pass for each baseline.
        Raises Failed when the original or a baseline fails.
        """
        found: dict[str, Measured] = {}
        diagnostics: list[Diagnostic] = []
        for one in wanted:
            value, findings = self.store.record(layout.EVALUATION, _evaluation_key(one, self.made))
            diagnostics += findings
            if value is not None:
                found[one.action.name] = _measured(value, one.beside)
        missing = [one for one in wanted if one.action.name not in found]
        for digest in sorted({_reference(one) for one in missing}):
            found |= self._evaluate([one for one in missing if _reference(one) == digest])
        return found, diagnostics

    def _evaluate(self, missing: list[Wanted]) -> dict[str, Measured]:
        """In one pass; one by one when that process died, so that only what kills it is blamed."""
        self.progress(f"{self.model.id}: evaluating {', '.join(one.action.recipe.name for one in missing)}")
        try:
            return self._pass(missing)
        except Failed as error:
            if not error.crashed:
                raise
        original = _figures(self._run(missing[0].beside, [])[0])
        measured: dict[str, Measured] = {}
        for one in missing:
            try:
                measured |= self._pass([one])
            except Failed as error:
                measured[one.action.name] = Measured(None, original, failed=str(error))
        return measured

    def _pass(self, missing: list[Wanted]) -> dict[str, Measured]:
        original, samples, results = self._run(missing[0].beside, missing)
        measured = {}
        for one, result in zip(missing, results, strict=False):
            value = {"samples": samples, "original": original, **result}
            if "failed" not in result:
                label = _label(one.action, _evaluation_key(one, self.made))
                self.store.put_record(layout.EVALUATION, label, value, one.stored.digest)
            measured[one.action.name] = _measured(value, one.beside)
        return measured

    def _run(self, beside: Beside, missing: list[Wanted]) -> tuple[Any, Any, Any]:
        """The original's own figures, the samples, and a result for each artifact; no results without samples."""
        model = self.model
        original = str(self.original)
        candidates = [str(self.folder(one.action.name, one.stored)) for one in missing]
        reference = original
        if beside.stored is not None:
            reference = str(self.folder(f"deployed-{beside.baseline.removeprefix('sha256:')[:12]}", beside.stored))
            candidates = [original, *candidates]
        request = {
            "task": model.task,
            "reference": reference,
            "candidates": candidates,
            "data": str(self.workspace / model.evaluation_data),
            "max_tokens": model.evaluation_tokens,
            "threads": machine.threads(),
            "converters": str(self.store.root / environment.FOLDER),
        }
        found = run("evaluate", request)
        if not found["samples"]:
            return {}, {}, []
        if beside.stored is None:
            return found["reference"], found["samples"], found["candidates"]
        first, *results = found["candidates"]
        if "failed" in first:
            raise Failed(first["failed"])
        own = {name: figure for name, figure in first["figures"].items() if not METRICS[name].compared}
        return own, found["samples"], results

    def known_speed(self, action: Action, digest: str | None) -> tuple[Speed | None, list[Diagnostic]]:
        """Speed of the artifact with this digest, or of the original (None), as the store has it for this machine."""
        value, diagnostics = self.store.record(layout.SPEED, self._speed_key(action, digest))
        return (None if value is None else _speed(value)), diagnostics

    def measure_speed(self, action: Action, stored: Stored | None) -> Speed:
        """The same, measured now and kept. Raises Failed."""
        digest = stored.digest if stored else None
        self.progress(f"{action.name if digest else self.model.id}: measuring speed")
        folder = self.folder(action.name, stored) if stored else self.original
        measured = run("speed", {"folder": str(folder), "threads": machine.threads(), "task": self.model.task})
        value = measured | {"host": machine.label()}
        self.store.put_record(layout.SPEED, _label(action, self._speed_key(action, digest)), value, digest)
        return _speed(value)

    def _speed_key(self, action: Action, digest: str | None) -> str:
        """The machine's label has the version of onnxruntime; what else made an artifact is in its digest."""
        subject = digest or [action.source.digest, self.made]
        return digests.of_value(["speed", SPEED_VERSION, subject, action.model.task, machine.label()])


def _speed(value: Mapping[str, Any]) -> Speed:
    return Speed(value["tokens_per_second"], value["peak_memory"], value["host"], value["latency"])


def _reference(one: Wanted) -> str:
    """Of what the artifact is really measured beside: a digest, or SOURCE."""
    return one.beside.baseline if one.beside.stored else SOURCE


def _evaluation_key(one: Wanted, made: str) -> str:
    """Everything that the figures depend on, except the processor: they are rounded. `made` is the Bench's."""
    source, tools = one.action.source, dict(one.action.inputs.tools) | {"tokenizers": version("tokenizers")}
    subject = [one.stored.digest, _reference(one), one.action.model.task]
    runtimes = [_runtime(stored) for stored in (one.stored, one.beside.stored)]
    original = [source.digest, made]
    return digests.of_value(["evaluation", EVALUATOR_VERSION, subject, runtimes, original, source.evaluation, tools])


def _runtime(stored: Stored | None) -> str | None:
    """Of what another runtime than onnxruntime runs, the digest of the packages that have it."""
    name = converted(file.name for file in stored.files) if stored else None
    converter = RUNTIMES.get(PurePosixPath(name).suffix) if name else None
    return environment.digest(converter) if converter else None


def _label(action: Action, key: str) -> Label:
    return Label(key, action.name, action.model.id, action.recipe.name, action.source.digest)


def _measured(value: Mapping[str, Any], beside: Beside) -> Measured:
    """Rounded as the lock carries it. Beside a baseline that is out of reach, nothing is compared."""
    original = _figures(value["original"])
    if "failed" in value:
        return Measured(None, original, failed=value["failed"])
    figures = {name: _sure(name, figure, value["samples"]) for name, figure in _figures(value["figures"]).items()}
    if beside.unknown:
        figures = {name: figure for name, figure in figures.items() if not METRICS[name].compared}
    golden = value["golden"]
    return Measured(Quality(value["samples"], figures, beside.baseline), original, golden and _golden(golden))


def _sure(name: str, figure: Figure, samples: Mapping[str, int]) -> Figure:
    """The figure, without an interval when the sample is too small for one, however alike its parts are."""
    metric = METRICS[name]
    few = metric.sample is not None and samples.get(metric.sample, 0) < metric.enough
    return replace(figure, low=None, high=None) if few else figure


def _figures(value: Mapping[str, list[float | None]]) -> dict[str, Figure]:
    return {name: _figure(METRICS[name].decimals, found) for name, found in value.items()}


def _figure(decimals: int, found: list[float | None]) -> Figure:
    value, low, high = (None if number is None else round(number, decimals) + 0.0 for number in found)  # never -0.0
    assert value is not None
    return Figure(value, low, high)


def _golden(value: Mapping[str, Any]) -> Golden:
    answers = tuple(
        Answer(
            answer["input"],
            answer.get("output", ""),
            *(tuple(answer.get(name, ())) for name in ("tokens", "candidates", "values")),
        )
        for answer in value["answers"]
    )
    return Golden(value["task"], value["tolerance"], answers, tuple(value.get("cosines", ())))
