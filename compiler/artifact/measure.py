"""Figures of artifacts and originals: from the store where they are kept, otherwise measured now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from compiler.artifact import layout, machine
from compiler.artifact.artifact import Quality, Speed
from compiler.artifact.process import Failed, run
from compiler.artifact.store import Label, Store
from compiler.base import digests
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Model
from compiler.plan.actions import Action

EVALUATOR_VERSION = 1
SPEED_VERSION = 2

Folder = Callable[[Action], Path]
"""Gives an artifact's files under their names. Asked only when something is measured."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact whose quality is wanted."""

    action: Action
    digest: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one artifact, beside its original; or why it cannot be evaluated."""

    quality: Quality | None
    original_perplexity: float
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

    def qualities(self, wanted: list[Wanted]) -> tuple[dict[str, Measured], list[Diagnostic]]:
        """Quality of artifacts of one model, by name; none when the data is too little to measure on.

        Those that the store does not know are measured together, in one pass over the original.
        Raises Failed when the original fails.
        """
        found: dict[str, Measured] = {}
        diagnostics: list[Diagnostic] = []
        for one in wanted:
            value, findings = self.store.record(layout.EVALUATION, _evaluation_key(one))
            diagnostics += findings
            if value is not None:
                found[one.action.name] = _measured(value)
        missing = [one for one in wanted if one.action.name not in found]
        return (found | self._evaluate(missing) if missing else found), diagnostics

    def _evaluate(self, missing: list[Wanted]) -> dict[str, Measured]:
        """In one pass over the original; one by one when that process died, so that only what kills it is blamed."""
        self.progress(f"{self.model.id}: evaluating {', '.join(one.action.recipe.name for one in missing)}")
        try:
            return self._pass(missing)
        except Failed as error:
            if not error.crashed:
                raise
        original = self._run([])
        measured: dict[str, Measured] = {}
        for one in missing:
            try:
                measured |= self._pass([one])
            except Failed as error:
                measured[one.action.name] = Measured(None, round(original["perplexity"], 3), str(error))
        return measured

    def _pass(self, missing: list[Wanted]) -> dict[str, Measured]:
        result = self._run(missing)
        if not result["tokens"]:
            return {}
        measured = {}
        for one, figures in zip(missing, result["candidates"], strict=True):
            value = {"tokens": result["tokens"], "original": result["perplexity"], **figures}
            if "failed" not in figures:
                label = _label(one.action, _evaluation_key(one))
                self.store.put_record(layout.EVALUATION, label, value, one.digest)
            measured[one.action.name] = _measured(value)
        return measured

    def _run(self, missing: list[Wanted]) -> Any:
        model = self.model
        request = {
            "original": str(self.original),
            "candidates": [str(self.folder(one.action)) for one in missing],
            "data": str(self.workspace / model.evaluation_data),
            "max_tokens": model.evaluation_tokens,
            "threads": machine.threads(),
        }
        return run("evaluate", request)

    def known_speed(self, action: Action, digest: str | None) -> tuple[Speed | None, list[Diagnostic]]:
        """Speed of the artifact with this digest, or of the original (None), as the store has it for this machine."""
        value, diagnostics = self.store.record(layout.SPEED, _speed_key(action, digest))
        return (None if value is None else _speed(value)), diagnostics

    def measure_speed(self, action: Action, digest: str | None) -> Speed:
        """The same, measured now and kept. Raises Failed."""
        self.progress(f"{action.name if digest else self.model.id}: measuring speed")
        folder = self.folder(action) if digest else self.original
        measured = run("speed", {"folder": str(folder), "threads": machine.threads()})
        value = measured | {"host": machine.label()}
        self.store.put_record(layout.SPEED, _label(action, _speed_key(action, digest)), value, digest)
        return _speed(value)


def _speed_key(action: Action, digest: str | None) -> str:
    return digests.of_value(["speed", SPEED_VERSION, digest or action.source.digest, machine.label()])


def _speed(value: Mapping[str, Any]) -> Speed:
    return Speed(value["tokens_per_second"], value["peak_memory"], value["host"])


def _evaluation_key(one: Wanted) -> str:
    """Everything that the figures depend on, except the processor: they are rounded."""
    source, tools = one.action.source, dict(one.action.inputs.tools) | {"tokenizers": version("tokenizers")}
    return digests.of_value(["evaluation", EVALUATOR_VERSION, one.digest, source.digest, source.evaluation, tools])


def _label(action: Action, key: str) -> Label:
    return Label(key, action.name, action.model.id, action.recipe.name, action.source.digest)


def _measured(value: Mapping[str, Any]) -> Measured:
    """Rounded as the lock carries it."""
    if "failed" in value:
        return Measured(None, value["original"], value["failed"])
    quality = Quality(
        tokens=value["tokens"],
        perplexity=round(value["perplexity"], 3),
        perplexity_ratio=round(value["perplexity_ratio"], 4),
        kl_divergence=max(0.0, round(value["kl_divergence"], 5)),
        top_one_agreement=round(value["top_one_agreement"], 4),
    )
    return Measured(quality, round(value["original"], 3))
