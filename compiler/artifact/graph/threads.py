"""Work that is cut into pieces, done by threads: numpy and the system let go of Python's lock meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

_TELLING = 0.01
"""Share of the work after which it is worth telling."""


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work; `cost` is in any unit that all jobs share, such as bytes."""

    cost: int
    do: Callable[[], object]


def spread(jobs: Sequence[Job], threads: int, tell: Callable[[float], None]) -> None:
    """Do all jobs, begun in their order, and tell the share of the cost that is done.

    When jobs fail, none is begun any more, and the exception of the first of them in their order is raised: the same
    one however the threads are scheduled.
    """
    work = _Work(iter(enumerate(jobs)), sum(job.cost for job in jobs) or 1, tell)
    helpers = [threading.Thread(target=work.run, daemon=True) for _ in range(min(threads, len(jobs)) - 1)]
    for helper in helpers:
        helper.start()
    try:
        work.run()
    finally:
        work.stopped = True
        for helper in helpers:
            helper.join()
    if work.failed:
        raise work.failed[min(work.failed)]


@dataclass(slots=True)
class _Work:
    waiting: Iterator[tuple[int, Job]]
    whole: int
    tell: Callable[[float], None]
    failed: dict[int, Exception] = field(default_factory=dict)
    stopped: bool = False
    done: int = 0
    told: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        while True:
            with self.lock:
                number, job = next(self.waiting, (-1, None)) if not self.stopped else (-1, None)
            if job is None:
                return
            try:
                job.do()
            except Exception as error:
                with self.lock:
                    self.failed[number] = error
                    self.stopped = True
                return
            self._count(job.cost)

    def _count(self, cost: int) -> None:
        with self.lock:
            self.done += cost
            share = self.done / self.whole
            if share - self.told >= _TELLING or self.done == self.whole:
                self.told = share
                self.tell(share)
