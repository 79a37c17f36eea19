"""What Prometheus may see: how long, how many, how much, and nothing that a request said.

`telemetry` of the run is the list of what is reported:

latency  slmc_time_to_first_token_seconds, slmc_time_per_token_seconds, slmc_request_duration_seconds,
         slmc_queue_length, slmc_requests_running
errors   slmc_requests_total by outcome
tokens   slmc_prompt_tokens_total, slmc_completion_tokens_total
memory   slmc_resident_memory_bytes, slmc_peak_memory_bytes by process

slmc_bundle_info and slmc_ready are always there: they say what is installed, and nothing about its use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from slmc_runtime import memory
from slmc_runtime.config import TEXT_GENERATION, Run

OUTCOMES = ("ok", "invalid", "refused", "timeout", "failed", "disconnected")
"""Of a request: answered; not one that can be answered; no place, or not ready; the time was over; the server's own
fault; the client has gone."""

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0)
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """`processes` gives process ids by role, `queue` how many requests wait and how many run."""

    def __init__(
        self,
        bundle: str,
        run: Run,
        processes: Mapping[str, int],
        queue: tuple[Callable[[], float], Callable[[], float]],
    ) -> None:
        self._registry = CollectorRegistry()
        info = {"bundle": bundle, "run": run.name, "artifact": run.artifact}
        Gauge("slmc_bundle_info", "What is served.", [*info], registry=self._registry).labels(**info).set(1)
        self._ready = Gauge("slmc_ready", "1 when requests are answered.", registry=self._registry)
        self._latency(run, queue)
        errors, tokens = (self._registry if kind in run.telemetry else None for kind in ("errors", "tokens"))
        self._requests = Counter("slmc_requests", "Requests by outcome.", ["outcome"], registry=errors)
        for outcome in OUTCOMES:
            self._requests.labels(outcome)
        self._prompt = Counter("slmc_prompt_tokens", "Tokens of prompts and inputs.", registry=tokens)
        self._completion = Counter("slmc_completion_tokens", "Tokens generated.", registry=tokens)
        if "memory" in run.telemetry:
            self._memory(processes)

    def render(self, ready: bool) -> bytes:
        self._ready.set(ready)
        return prometheus_client.generate_latest(self._registry)

    def first_token(self, seconds: float) -> None:
        """Since the request came."""
        self._first.observe(seconds)

    def tokens(self, prompt: int, completion: int = 0) -> None:
        self._prompt.inc(prompt)
        self._completion.inc(completion)

    def per_token(self, seconds: float) -> None:
        """The mean of one request, of its tokens after the first."""
        self._each.observe(seconds)

    def finished(self, outcome: str, seconds: float) -> None:
        """Only answered requests have a duration: to refuse one is quick."""
        self._requests.labels(outcome).inc()
        if outcome == "ok":
            self._duration.observe(seconds)

    def _latency(self, run: Run, queue: tuple[Callable[[], float], Callable[[], float]]) -> None:
        told = self._registry if "latency" in run.telemetry else None
        generates = told if run.task == TEXT_GENERATION else None

        def histogram(
            name: str, text: str, bounds: tuple[float, ...], objective: str, registry: CollectorRegistry | None
        ) -> Histogram:
            """With the objective among the bounds: else a quantile near it would be read between two others."""
            wanted = run.objectives.get(objective)
            buckets = sorted({*bounds, *([wanted] if wanted is not None else [])})
            return Histogram(name, text, buckets=buckets, registry=registry)

        self._first = histogram(
            "slmc_time_to_first_token_seconds",
            "From the request to its first token.",
            _SECONDS,
            "timeToFirstToken",
            generates,
        )
        self._each = histogram(
            "slmc_time_per_token_seconds",
            "Mean time of a request's tokens after the first.",
            _SHORT,
            "timePerToken",
            generates,
        )
        self._duration = histogram(
            "slmc_request_duration_seconds", "From the request to the end of its answer.", _SECONDS, "latencyP95", told
        )
        for name, text, count in (
            ("slmc_queue_length", "Requests that wait.", queue[0]),
            ("slmc_requests_running", "Requests that the model works on.", queue[1]),
        ):
            Gauge(name, text, registry=told).set_function(count)

    def _memory(self, processes: Mapping[str, int]) -> None:
        for name, text, measure in (
            ("slmc_resident_memory_bytes", "Memory held.", memory.resident),
            ("slmc_peak_memory_bytes", "The most memory held.", memory.peak),
        ):
            gauge = Gauge(name, text, ["process"], registry=self._registry)
            for role, process in processes.items():
                gauge.labels(role).set_function(partial(measure, process))
