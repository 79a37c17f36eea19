"""The queue in front of the model: first come, first served, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from slmc_runtime.errors import ApiError
from slmc_runtime.scheduler import Job, Scheduler


def open_scheduler(queue: int) -> tuple[Scheduler, list[Mapping[str, Any]]]:
    """With what it sends to the model."""
    sent: list[Mapping[str, Any]] = []
    made = Scheduler(queue, sent.append)
    made.refusal = None
    return made, sent


def events(job: Job) -> list[Mapping[str, Any]]:
    return [job.events.get_nowait() for _ in range(job.events.qsize())]


def test_orders_go_out_one_by_one_as_they_came() -> None:
    async def run() -> None:
        scheduler, sent = open_scheduler(2)
        first, second, third = (scheduler.submit({"kind": name}) for name in "abc")
        assert sent == [{"id": 1, "kind": "a"}]
        assert (scheduler.running, scheduler.waiting) == (1, 2)
        scheduler.heard({"id": 1, "text": "x"})
        scheduler.heard({"id": 1, "done": {}})
        assert sent[1:] == [{"id": 2, "kind": "b"}]
        scheduler.heard({"id": 2, "error": {}})
        scheduler.heard({"id": 3, "failed": "x"})
        assert sent[2:] == [{"id": 3, "kind": "c"}]
        assert events(first) == [{"id": 1, "text": "x"}, {"id": 1, "done": {}}]
        assert (events(second), events(third)) == ([{"id": 2, "error": {}}], [{"id": 3, "failed": "x"}])
        assert (scheduler.running, scheduler.waiting) == (0, 0)

    asyncio.run(run())


def test_one_that_runs_keeps_its_place_until_the_model_has_stopped() -> None:
    async def run() -> None:
        scheduler, sent = open_scheduler(1)
        first, second = scheduler.submit({}), scheduler.submit({})
        scheduler.abandon(first)
        scheduler.abandon(first)
        assert sent == [{"id": 1}, {"cancel": 1}]
        with pytest.raises(ApiError) as found:
            scheduler.submit({})
        assert (found.value.status, found.value.code) == (429, "queue_full")
        scheduler.heard({"id": 1, "cancelled": True})
        assert sent[2:] == [{"id": 2}]
        scheduler.heard({"id": 2, "done": {}})
        scheduler.abandon(second)
        assert sent[3:] == []

    asyncio.run(run())


def test_one_that_waits_frees_its_place_at_once() -> None:
    async def run() -> None:
        scheduler, sent = open_scheduler(1)
        scheduler.submit({})
        scheduler.abandon(scheduler.submit({}))
        scheduler.submit({})
        scheduler.heard({"id": 1, "done": {}})
        assert sent == [{"id": 1}, {"id": 3}]

    asyncio.run(run())


def test_the_end_of_the_model_is_the_end_of_all_orders() -> None:
    async def run() -> None:
        scheduler, _ = open_scheduler(1)
        jobs = [scheduler.submit({}), scheduler.submit({})]
        scheduler.fail("It ended.")
        assert [events(job) for job in jobs] == [[{"failed": "the model's process ended"}]] * 2
        with pytest.raises(ApiError) as found:
            scheduler.submit({})
        assert (found.value.status, found.value.message) == (503, "It ended.")
        assert (scheduler.running, scheduler.waiting, scheduler.silent()) == (0, 0, 0.0)

    asyncio.run(run())
