"""Whether the server lives, and whether it is ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slmc_runtime.bundle import Bundle
from slmc_runtime.scheduler import Scheduler


@dataclass(slots=True)
class Health:
    """`unready` is why it is not ready, None when it is. `answers` is how many golden answers were right."""

    bundle: Bundle
    scheduler: Scheduler
    unready: str | None = "the model is loading"
    answers: int = 0

    @property
    def stuck(self) -> bool:
        """The model has been at one request for longer than any may take, without a word."""
        return self.scheduler.silent() > self.bundle.run.limits.timeout

    def live(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/livez`."""
        if self.stuck:
            return 503, {"status": "stuck", **self._who()}
        return 200, {"status": "live", **self._who()}

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/readyz`."""
        why = "the model does not answer" if self.stuck else self.unready
        if why is not None:
            return 503, {"status": "unready", "reason": why, **self._who()}
        run = self.bundle.run
        return 200, {
            "status": "ready",
            **self._who(),
            "artifact": run.artifact,
            "model": run.model,
            "goldenAnswers": self.answers,
        }

    def _who(self) -> dict[str, str]:
        return {"bundle": self.bundle.id, "run": self.bundle.run.name}
