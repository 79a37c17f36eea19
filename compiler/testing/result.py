"""How a case ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.testing.cases import Case


class Status(Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Answers:
    """How many golden answers came out right, and how many did not."""

    passed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why it failed: a sentence, and what to do."""

    code: Code
    message: str
    help: str


@dataclass(frozen=True, slots=True)
class Result:
    """`how`: `native` or `qemu`; None where nothing ran. `peak` in bytes. `unenforced` says which limits did not hold
    and why. `reason` is why it was skipped."""

    case: Case
    status: Status
    how: str | None = None
    peak: int | None = None
    answers: Answers | None = None
    seconds: float = 0.0
    unenforced: str | None = None
    reason: str | None = None
    fault: Fault | None = None

    @property
    def finding(self) -> Diagnostic | None:
        if self.fault is None:
            return None
        case, fault = self.case, self.fault
        message = f"`{case.artifact.name}` on `{case.device_class.name}`: {fault.message}"
        return Diagnostic(fault.code, message, case.run.place, fault.help)
