"""Under load for a minute: no error of the server's own making, memory that does not grow."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from benchmarks.runtime.load import Load, run
from tests.runtime import bundles
from tests.runtime.bundles import HELDOUT, LIMITS, PYDOC, Plan
from tests.runtime.serving import metrics, serving

SECONDS = 60.0
GROWTH = 32 * 2**20
"""Bytes that both processes may hold more in the last third of the time than in the second: allocators keep some. The
oversized bodies of that time alone are many times as much."""


@pytest.mark.slow
def test_a_minute_at_the_bound_of_the_queue(tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "bundle", Plan(PYDOC, HELDOUT))
    with serving(bundle) as served:
        load = Load(
            served.port, (served.process.pid, served.model), LIMITS["queue"] + 1, LIMITS["requestBytes"], SECONDS
        )
        found = run(load)
        counted = {name: value for name, value in metrics(served).items() if name.startswith("slmc_requests_total")}
        code, said = served.stop()
    assert found.errors == []
    assert min(found.counts[kind] for kind in ("answered", "vanished", "malformed", "oversized")) > 50
    assert counted['slmc_requests_total{outcome="failed"}'] == 0
    assert counted['slmc_requests_total{outcome="timeout"}'] == 0
    assert counted['slmc_requests_total{outcome="ok"}'] >= found.counts["answered"]
    second, third = (
        statistics.median(held for at, held in found.memory if SECONDS * part / 3 < at <= SECONDS * (part + 1) / 3)
        for part in (1, 2)
    )
    assert third - second < GROWTH
    assert (code, len(said.splitlines())) == (0, 1)
