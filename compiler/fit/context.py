"""Runs that ask for a longer context than their model was made for."""

from __future__ import annotations

from collections.abc import Iterable

from compiler.artifact.artifact import Artifacts
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fleet.graph import Fleet


def overlong(fleets: Iterable[Fleet], artifacts: Artifacts) -> list[Diagnostic]:
    """Of runs that slmc's own runtime serves, which refuses to start them. What others make of it is not known here."""
    found: dict[Diagnostic, None] = {}
    for fleet in fleets:
        for cohort in fleet.cohorts:
            for run in cohort.runs:
                artifact = artifacts.artifacts.get(run.artifact)
                if run.runtime is None or run.runtime.configuration is None or artifact is None:
                    continue
                most, asked = artifact.shape.context_length, run.context_length
                if asked is None or not 0 < most < asked:
                    continue
                place = cohort.place_of(run, "contextLength")
                message = f"Run `{run.name}` asks for {asked} tokens of context; `{run.model.id}` was made for {most}."
                help = f"Ask for {most} or fewer, or leave `contextLength` out."
                found[Diagnostic(Code.CONTEXT_EXCEEDED, message, place, help)] = None
    return list(found)
