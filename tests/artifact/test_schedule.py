"""Jobs side by side: as many as fit, never more, and nothing lost when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from compiler.artifact.making.schedule import Capacity, Cost, Job, Shortage, run_jobs

_LONG = 60.0
"""Seconds that no wait in here takes unless something is wrong."""


def _works() -> bool:
    return True


def _job(
    name: str, work: Callable[[], bool] = _works, *, after: str | None = None, memory: int = 1, disk: int = 0
) -> Job:
    return Job(name, after, lambda: Cost(memory, disk), work)


@dataclass
class _Watch:
    """Counts what runs at once."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    running: set[str] = field(default_factory=set)
    seen: list[frozenset[str]] = field(default_factory=list)

    def job(self, name: str, *, after: str | None = None, memory: int = 1, disk: int = 0) -> Job:
        def work() -> bool:
            with self.lock:
                self.running.add(name)
                self.seen.append(frozenset(self.running))
            threading.Event().wait(0.02)
            with self.lock:
                self.running.discard(name)
            return True

        return _job(name, work, after=after, memory=memory, disk=disk)


def _run(jobs: list[Job], *, processors: int = 4, memory: int = 100, disk: int = 100) -> tuple[list[str], object]:
    begun: list[str] = []
    short = run_jobs(jobs, Capacity(processors, memory, lambda: disk), lambda job: begun.append(job.name), lambda: None)
    return begun, short


def test_independent_jobs_run_at_once() -> None:
    meeting = threading.Barrier(3)

    def meet() -> bool:
        meeting.wait(_LONG)
        return True

    assert _run([_job(name, meet) for name in "abc"]) == (["a", "b", "c"], {})


def test_never_more_than_processors() -> None:
    watch = _Watch()
    begun, _ = _run([watch.job(f"j{n}") for n in range(9)], processors=3)
    assert begun == [f"j{n}" for n in range(9)]
    assert max(map(len, watch.seen)) <= 3


def test_never_more_memory_than_there_is_but_one_at_least() -> None:
    watch = _Watch()
    sizes = {"large": 500, "a": 60, "b": 60, "c": 30}
    begun, _ = _run([watch.job(name, memory=size) for name, size in sizes.items()])
    assert sorted(begun) == sorted(sizes)
    assert all(len(seen) == 1 or sum(sizes[name] for name in seen) <= 100 for seen in watch.seen)


def test_a_job_follows_the_one_that_it_needs() -> None:
    order: list[str] = []

    def note(name: str) -> Callable[[], bool]:
        return lambda: order.append(name) is None

    jobs = [_job("leaf", note("leaf"), after="middle"), _job("middle", note("middle"), after="root")]
    _run([*jobs, _job("root", note("root"))])
    assert order == ["root", "middle", "leaf"]


def test_what_needs_a_failed_job_is_left_out_and_the_others_finish() -> None:
    watch = _Watch()
    jobs = [
        _job("bad", lambda: False),
        watch.job("child", after="bad"),
        watch.job("grandchild", after="child"),
        watch.job("other"),
    ]
    begun, short = _run(jobs)
    assert (begun, short) == (["bad", "other"], {})


def test_a_job_waits_for_disk_that_running_ones_need() -> None:
    watch = _Watch()
    begun, short = _run([watch.job("a", disk=70), watch.job("b", disk=70), watch.job("c", disk=20)])
    assert (sorted(begun), short) == (["a", "b", "c"], {})
    assert not any({"a", "b"} <= seen for seen in watch.seen)


def test_a_job_without_room_on_the_disk_is_not_begun() -> None:
    jobs = [_job("large", disk=101), _job("child", after="large"), _job("small", disk=100)]
    assert _run(jobs) == (["small"], {"large": Shortage(needed=101, free=100)})


def test_the_first_exception_in_order_is_raised_after_the_running_ones_ended() -> None:
    ended: list[str] = []
    both_run = threading.Barrier(2)
    second_raised = threading.Event()

    def first() -> bool:
        both_run.wait(_LONG)
        second_raised.wait(_LONG)
        ended.append("first")
        raise ValueError("first")

    def second() -> bool:
        both_run.wait(_LONG)
        second_raised.set()
        raise KeyError("second")

    begun: list[str] = []
    jobs = [_job("first", first), _job("second", second), _job("never", lambda: ended.append("never") is None)]
    with pytest.raises(ValueError, match="first"):
        run_jobs(jobs, Capacity(2, 100, lambda: 100), lambda job: begun.append(job.name), lambda: None)
    assert (begun, ended) == (["first", "second"], ["first"])


def test_an_interrupt_ends_what_runs() -> None:
    told_to_end = threading.Event()
    ended: list[str] = []

    def work() -> bool:
        told_to_end.wait(_LONG)
        ended.append("work")
        return False

    def begin(job: Job) -> None:
        if job.name == "second":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([_job("first", work), _job("second")], Capacity(2, 100, lambda: 100), begin, told_to_end.set)
    assert ended == ["work"]
