"""Fit is arithmetic: every number of the sum, and the two errors."""

from __future__ import annotations

from dataclasses import replace

from compiler.base.codes import Code
from compiler.fit.check import Estimate, RunEstimate, check
from tests.values import CLASS, MIB, RUN, artifacts_of, fleet_of


def test_estimate_adds_weights_cache_and_runtime() -> None:
    estimates, diagnostics = check([fleet_of()], artifacts_of())
    run = RunEstimate("chat", weights=100 * MIB, kv_cache=2 * MIB, overhead=96 * MIB, storage=200 * MIB)
    assert estimates == (Estimate("shops", "pi", (run,), 512 * MIB, 3072 * MIB),)
    assert (estimates[0].memory_needed, estimates[0].storage_needed) == (198 * MIB, 264 * MIB)
    assert diagnostics == []


def test_context_length_of_the_run_counts() -> None:
    estimates, _ = check([fleet_of(replace(RUN, context_length=1024))], artifacts_of())
    assert estimates[0].runs[0].kv_cache == 1 * MIB


def test_exactly_full_memory_fits_and_one_byte_less_does_not() -> None:
    just = replace(CLASS, memory=198 * MIB, reserved_memory=0)
    assert check([fleet_of(device_class=just)], artifacts_of())[1] == []
    _, (finding,) = check([fleet_of(device_class=replace(just, memory=198 * MIB - 1))], artifacts_of())
    assert (finding.code, finding.span) == (Code.MEMORY_EXCEEDED, RUN.place)
    assert finding.message == (
        "Cohort `pi` needs 198.0 MiB (estimated), but `pi` has 198.0 MiB - 0 B reserved = 198.0 MiB. "
        "chat: weights 100.0 MiB + KV cache 2.0 MiB + runtime 96.0 MiB = 198.0 MiB."
    )


def test_storage_holds_the_artifact_twice_and_headroom() -> None:
    just = replace(CLASS, storage=264 * MIB, reserved_storage=0)
    assert check([fleet_of(device_class=just)], artifacts_of())[1] == []
    small = replace(just, storage=263 * MIB)
    _, (finding,) = check([fleet_of(device_class=small)], artifacts_of())
    assert finding.code is Code.STORAGE_EXCEEDED
    assert finding.message == (
        "Cohort `pi` needs 200.0 MiB (artifacts, current and previous release) + 64.0 MiB headroom = 264.0 MiB, "
        "but `pi` has 263.0 MiB - 0 B reserved = 263.0 MiB."
    )
