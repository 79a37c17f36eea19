"""`slmc.lock` ↔ Lock. The file is JSON with sorted keys: one value a line, made for `git diff`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

from compiler.artifact.artifact import Artifact, File, Original, Refusal, Shape
from compiler.base import digests, files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.base.spelling import fields, plain
from compiler.fit.choose import Candidate, Decision
from compiler.lock import evidence
from compiler.lock.lock import Lock, LockedArtifact, LockedRefusal

NAME = "slmc.lock"
VERSION = 2

T = TypeVar("T")


def read(path: Path) -> tuple[Lock, list[Diagnostic]]:
    """The lock at `path`; an empty one when there is none yet."""
    if path.exists() and not path.is_file():  # a pipe, say, would be waited for without end
        return Lock(), [Diagnostic(Code.LOCK_UNREADABLE, f"`{NAME}` is not a file.", file=NAME)]
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Lock(), []
    except (OSError, UnicodeDecodeError) as error:
        return Lock(), [Diagnostic(Code.LOCK_UNREADABLE, f"`{NAME}` cannot be read: {error}.", file=NAME)]
    source = Source(NAME, text)
    try:
        data = json.loads(text)
        if data["lockVersion"] != VERSION:
            why = f"it has version {data['lockVersion']}, and this slmc reads {VERSION}."
            return Lock(), [_unreadable(source, 1, 1, why)]
        return _load(data), []
    except json.JSONDecodeError as error:
        return Lock(), [_unreadable(source, error.lineno, error.colno, f"{error.msg}.")]
    except (KeyError, TypeError, AttributeError):
        return Lock(), [_unreadable(source, 1, 1, "a key is missing, or its value has another type.")]
    except ValueError as error:
        return Lock(), [_unreadable(source, 1, 1, f"{error}.")]
    except RecursionError:
        return Lock(), [_unreadable(source, 1, 1, "it is nested without end.")]


def dump(lock: Lock) -> bytes:
    return digests.pretty(
        {
            "lockVersion": VERSION,
            "tools": dict(lock.tools),
            "models": {id: _dump_original(original) for id, original in lock.originals.items()},
            "artifacts": {name: _dump_artifact(entry) for name, entry in lock.artifacts.items()},
            "bundles": dict(lock.bundles),
            "indexes": dict(lock.indexes),
            **({"refused": {n: _dump_refusal(r) for n, r in lock.refused.items()}} if lock.refused else {}),
            **({"choices": [_dump_decision(decision) for decision in lock.decisions]} if lock.decisions else {}),
        }
    )


def _unreadable(source: Source, line: int, column: int, why: str) -> Diagnostic:
    return Diagnostic(
        Code.LOCK_UNREADABLE,
        f"`{NAME}` is not what slmc wrote: {why}",
        Span(source, line, column),
        help="Restore it from Git, or delete it: `slmc compile` writes it anew, and builds only what the store lacks.",
    )


def _dump_artifact(entry: LockedArtifact) -> dict[str, Any]:
    artifact = entry.artifact
    return {
        "model": artifact.model,
        "recipe": artifact.recipe,
        "key": artifact.key,
        "digest": artifact.digest,
        "inputs": _dump_inputs(entry),
        "files": [plain(file) for file in artifact.files],
        "shape": plain(artifact.shape),
        "quality": evidence.dump_quality(artifact.quality),
        "golden": artifact.golden and evidence.dump_golden(artifact.golden),
        "heldGates": dict(artifact.held_gates),
    }


def _dump_original(original: Original) -> dict[str, Any]:
    figures = evidence.dump_figures(original.figures)
    return {"size": original.size, "figures": figures, "shape": plain(original.shape)}


def _load(data: dict[str, Any]) -> Lock:
    """Raises KeyError, TypeError, ValueError, AttributeError for what `dump` does not write."""
    return Lock(
        tools=_texts(data["tools"]),
        artifacts={name: _load_artifact(name, entry) for name, entry in data["artifacts"].items()},
        originals={
            id: Original(
                id,
                evidence.number(entry["size"]),
                _make(Shape, entry["shape"]),
                evidence.load_figures(entry["figures"]),
            )
            for id, entry in data["models"].items()
        },
        bundles=_paths(data["bundles"]),
        indexes=_paths(data["indexes"]),
        decisions=tuple(_load_decision(entry) for entry in data.get("choices", ())),
        refused={name: _load_refusal(entry) for name, entry in data.get("refused", {}).items()},
    )


def _dump_decision(decision: Decision) -> dict[str, Any]:
    return {
        "fleet": decision.fleet,
        "run": decision.run,
        "class": decision.device_class,
        "model": decision.model,
        "minimize": decision.minimize,
        "recipe": decision.recipe,
        "candidates": [_dump_candidate(candidate) for candidate in decision.candidates],
    }


def _dump_candidate(candidate: Candidate) -> dict[str, Any]:
    found = {"recipe": candidate.recipe, "digest": candidate.digest, "dropped": candidate.dropped}
    return found | ({"machine": True} if candidate.machine else {})


def _load_decision(entry: dict[str, Any]) -> Decision:
    fleet, run, hardware, model = (evidence.text(entry[name]) for name in ("fleet", "run", "class", "model"))
    candidates = tuple(_load_candidate(one) for one in entry["candidates"])
    return Decision(
        fleet, run, hardware, model, evidence.text(entry["minimize"]), evidence.text(entry["recipe"]), candidates
    )


def _load_candidate(entry: dict[str, Any]) -> Candidate:
    recipe, digest, dropped = (evidence.text(entry[name]) for name in ("recipe", "digest", "dropped"))
    return Candidate(recipe, digest, dropped, machine=entry.get("machine") is True)


def _load_artifact(name: str, entry: dict[str, Any]) -> LockedArtifact:
    artifact = Artifact(
        name=name,
        model=evidence.text(entry["model"]),
        recipe=evidence.text(entry["recipe"]),
        key=_digest(entry["key"]),
        digest=_digest(entry["digest"]),
        files=tuple(_file(file) for file in entry["files"]),
        shape=_make(Shape, entry["shape"]),
        quality=evidence.load_quality(entry["quality"]),
        golden=None if entry["golden"] is None else evidence.load_golden(entry["golden"]),
        held_gates={gate: evidence.number(limit) for gate, limit in entry["heldGates"].items()},
    )
    return LockedArtifact(artifact, *_load_inputs(entry))


def _dump_refusal(entry: LockedRefusal) -> dict[str, Any]:
    return plain(entry.refusal) | {"inputs": _dump_inputs(entry)}


def _load_refusal(entry: dict[str, Any]) -> LockedRefusal:
    step = evidence.number(entry["step"])
    reason, parameter = evidence.text(entry["reason"]), evidence.text(entry["parameter"])
    return LockedRefusal(Refusal(_digest(entry["key"]), step, reason, parameter), *_load_inputs(entry))


def _dump_inputs(entry: LockedArtifact | LockedRefusal) -> dict[str, str]:
    task = {"task": entry.task} if entry.task else {}
    return {"source": entry.source, "steps": entry.steps, "evaluation": entry.evaluation, **task}


def _load_inputs(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    inputs = entry["inputs"]
    source, steps, evaluation = (_digest(inputs[what]) for what in ("source", "steps", "evaluation"))
    return source, evidence.text(inputs.get("task", "")), steps, evaluation


def _file(entry: dict[str, Any]) -> File:
    return File(evidence.text(entry["name"]), evidence.number(entry["size"]), _digest(entry["digest"]))


def _make(kind: type[T], entry: dict[str, Any]) -> T:
    """A dataclass all of whose fields are numbers."""
    return kind(**{name: evidence.number(value) for name, value in fields(entry).items()})


def _digest(value: Any) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", evidence.text(value)):
        raise ValueError(f"{value!r} is not a sha256 digest")
    return str(value)


def _paths(entries: dict[str, Any]) -> dict[str, str]:
    """Path below the output folder → digest."""
    for path in entries:
        if not files.stays_below(path):
            raise ValueError(f"`{path}` is no path below the output folder")
    return {path: _digest(value) for path, value in entries.items()}


def _texts(entries: dict[str, Any]) -> dict[str, str]:
    return {name: evidence.text(value) for name, value in entries.items()}
