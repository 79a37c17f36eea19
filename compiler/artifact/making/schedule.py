"""Run jobs side by side, as far as processors, memory and disk allow it.

Each job has a thread, which waits for a process of its own. Nothing that comes out depends on which one ends first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread


@dataclass(frozen=True, slots=True)
class Cost:
    """Estimates: bytes of memory and of new files while a job runs, and how many processors it keeps busy."""

    memory: int
    disk: int
    processors: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do once the job `after` has gone well. `cost` is asked when it could begin."""

    name: str
    after: str | None
    cost: Callable[[], Cost]
    work: Callable[[], bool]
    """Whether those that wait for it may begin."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What jobs share: processors, bytes of memory, and bytes of disk, which are asked for before each one begins."""

    processors: int
    memory: int
    free_disk: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Shortage:
    """Bytes of disk that a job needs, and that are free."""

    needed: int
    free: int


def run_jobs(
    jobs: Sequence[Job], capacity: Capacity, begin: Callable[[Job], None], abort: Callable[[], None]
) -> Mapping[str, Shortage]:
    """Do all jobs and give those for which the disk has no room, which were not done.

    `begin` hears of each one before it starts, in the order of `jobs` among those that can. A job that needs more
    memory than there is runs alone. When one raises, no other begins; those that run are waited for, and the exception
    of the first of them in `jobs` is raised. `abort` has to end running work: it is called when this thread is
    interrupted.
    """
    running = _Running(list(jobs), capacity)
    try:
        while running.go_on():
            for job, cost in running.startable():
                begin(job)
                running.start(job, cost)
            if running.costs:
                running.wait()
    except BaseException:
        abort()
        while running.costs:
            running.wait()
        raise
    for job in jobs:
        if error := running.raised.get(job.name):
            raise error
    return running.short


@dataclass(slots=True)
class _Running:
    waiting: list[Job]
    capacity: Capacity
    costs: dict[str, Cost] = field(default_factory=dict)
    """Of the jobs that run."""
    ended: dict[str, bool] = field(default_factory=dict)
    short: dict[str, Shortage] = field(default_factory=dict)
    raised: dict[str, BaseException] = field(default_factory=dict)
    reports: SimpleQueue[tuple[str, bool | BaseException]] = field(default_factory=SimpleQueue)

    def go_on(self) -> bool:
        return bool(self.costs) or (bool(self.waiting) and not self.raised)

    def startable(self) -> Iterator[tuple[Job, Cost]]:
        """The jobs that may begin now, one at a time: what it yields has to be started before it goes on."""
        for job in list(self.waiting) if not self.raised else []:
            ready = self.ended.get(job.after) if job.after else True
            if ready is None:
                continue
            if not ready:
                self._skip(job)
                continue
            cost = job.cost()
            room = self.capacity.free_disk() - sum(other.disk for other in self.costs.values())
            if cost.disk > room and not self.costs:
                self.short[job.name] = Shortage(cost.disk, room)
                self._skip(job)
            elif not self.costs or (cost.disk <= room and self._fits(cost)):
                yield job, cost

    def start(self, job: Job, cost: Cost) -> None:
        self.waiting.remove(job)
        self.costs[job.name] = cost
        Thread(target=self._do, args=(job,), name=job.name, daemon=True).start()

    def wait(self) -> None:
        """Until one has ended."""
        name, result = self.reports.get()
        del self.costs[name]
        self.ended[name] = result is True
        if isinstance(result, BaseException):
            self.raised[name] = result

    def _skip(self, job: Job) -> None:
        self.waiting.remove(job)
        self.ended[job.name] = False

    def _fits(self, cost: Cost) -> bool:
        processors = cost.processors + sum(other.processors for other in self.costs.values())
        memory = cost.memory + sum(other.memory for other in self.costs.values())
        return processors <= self.capacity.processors and memory <= self.capacity.memory

    def _do(self, job: Job) -> None:
        try:
            self.reports.put((job.name, job.work()))
        except BaseException as error:
            self.reports.put((job.name, error))
