"""Does a cohort's software fit its devices: arithmetic on the artifact and the class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compiler.artifact.artifact import Artifact, Artifacts
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.units import show_bytes
from compiler.fit.context import overlong
from compiler.fit.saturation import saturating
from compiler.fleet.graph import Cohort, Fleet, Run

RUNTIME_OVERHEAD = 96 * 2**20
"""Bytes a process with ONNX Runtime takes beside weights and cache: the interpreter, the
library and its arenas. Estimated from the processes that slmc measures."""


STORAGE_HEADROOM = 64 * 2**20
"""Bytes that stay free on a device: a release is unpacked beside the two that are kept, bundles and logs grow."""


@dataclass(slots=True, unsafe_hash=True)
class RunEstimate:
    """Bytes that one run needs on a device, each part as it enters the sum. Nobody changes it."""

    run: str
    weights: int
    kv_cache: int
    overhead: int
    storage: int
    """The artifact twice (current and previous release)."""

    @property
    def memory(self) -> int:
        return self.weights + self.kv_cache + self.overhead

    @property
    def default_limit(self) -> int:
        """The memory that a run without `memoryLimit` is held to."""
        return 2 * self.memory


@dataclass(slots=True, unsafe_hash=True)
class Estimate:
    """What a cohort needs and what its device class has, in bytes. Nobody changes it: there is one for each cohort."""

    fleet: str
    cohort: str
    runs: tuple[RunEstimate, ...]
    memory_available: int
    storage_available: int

    @property
    def memory_needed(self) -> int:
        return sum([run.memory for run in self.runs])

    @property
    def storage_needed(self) -> int:
        return sum([run.storage for run in self.runs]) + STORAGE_HEADROOM


def check(fleets: Iterable[Fleet], artifacts: Artifacts) -> tuple[tuple[Estimate, ...], list[Diagnostic]]:
    """Estimate every cohort, and report those whose device class is too small or does not suit a recipe."""
    fleets = tuple(fleets)
    estimates: list[Estimate] = []
    diagnostics = saturating(fleets) + overlong(fleets, artifacts)
    for fleet in fleets:
        for cohort in fleet.cohorts:
            estimate = _estimate(fleet, cohort, artifacts)
            estimates.append(estimate)
            if estimate.memory_needed > estimate.memory_available:
                diagnostics.append(_memory(cohort, estimate))
            if estimate.storage_needed > estimate.storage_available:
                diagnostics.append(_storage(cohort, estimate))
    return tuple(estimates), diagnostics


def _estimate(fleet: Fleet, cohort: Cohort, artifacts: Artifacts) -> Estimate:
    hardware, known = cohort.device_class, artifacts.artifacts
    return Estimate(
        fleet.name,
        cohort.name,
        tuple([estimate_run(run, known[run.artifact]) for run in cohort.runs if run.artifact in known]),
        hardware.memory - hardware.reserved_memory,
        hardware.storage - hardware.reserved_storage,
    )


def estimate_run(run: Run, artifact: Artifact) -> RunEstimate:
    """What one run with this artifact needs on a device."""
    context = run.context_length or artifact.shape.context_length
    return RunEstimate(
        run.name,
        weights=artifact.shape.weight_bytes,
        kv_cache=context * artifact.shape.kv_bytes_per_token,
        overhead=RUNTIME_OVERHEAD,
        storage=2 * artifact.size,
    )


def _memory(cohort: Cohort, estimate: Estimate) -> Diagnostic:
    parts = "; ".join(
        f"{run.run}: weights {show_bytes(run.weights)} + KV cache {show_bytes(run.kv_cache)}"
        f" + runtime {show_bytes(run.overhead)} = {show_bytes(run.memory)}"
        for run in estimate.runs
    )
    hardware = cohort.device_class
    return Diagnostic(
        Code.MEMORY_EXCEEDED,
        f"Cohort `{estimate.cohort}` needs {show_bytes(estimate.memory_needed)} (estimated), "
        f"but `{hardware.name}` has {show_bytes(hardware.memory)} - {show_bytes(hardware.reserved_memory)} reserved"
        f" = {show_bytes(estimate.memory_available)}. {parts}.",
        cohort.runs[0].place,
        help="Lower `contextLength`, choose a recipe with smaller weights, or run it on a class with more memory.",
    )


def _storage(cohort: Cohort, estimate: Estimate) -> Diagnostic:
    hardware = cohort.device_class
    artifacts = " + ".join(show_bytes(run.storage) for run in estimate.runs)
    return Diagnostic(
        Code.STORAGE_EXCEEDED,
        f"Cohort `{estimate.cohort}` needs {artifacts} (artifacts, current and previous release) + "
        f"{show_bytes(STORAGE_HEADROOM)} headroom = {show_bytes(estimate.storage_needed)}, "
        f"but `{hardware.name}` has {show_bytes(hardware.storage)} - {show_bytes(hardware.reserved_storage)} "
        f"reserved = {show_bytes(estimate.storage_available)}.",
        cohort.runs[0].place,
        help="Choose a recipe with smaller weights, or run it on a class with more storage.",
    )
