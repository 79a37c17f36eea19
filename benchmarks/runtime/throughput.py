"""One stream of the server beside a bare loop of onnxruntime-genai, in turns."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtime.load import cpu_seconds

PROMPT = "def main(argv):"


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens per second, and CPU seconds per 1000 tokens: of the loop, or of both of the server's processes."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Compared:
    bare: tuple[Rate, ...]
    served: tuple[Rate, ...]

    @property
    def ratio(self) -> float:
        """The median of the rounds: what disturbs the machine disturbs both of a round."""
        return statistics.median(one.rate / other.rate for one, other in zip(self.served, self.bare, strict=True))


@dataclass(frozen=True, slots=True)
class Work:
    model: Path
    threads: int
    tokens: int
    seconds: float
    """Of each of the two in a round."""
    rounds: int


def compare(work: Work, port: int, processes: tuple[int, int], name: str) -> Compared:
    """The server on `port` has the same model with as many threads."""
    _served(port, name, work, processes, 1.0)
    bare, served = [], []
    for _ in range(work.rounds):
        bare.append(_bare(work))
        served.append(_served(port, name, work, processes, work.seconds))
    return Compared(tuple(bare), tuple(served))


def _bare(work: Work) -> Rate:
    words = [str(work.model), str(work.threads), PROMPT, str(work.tokens), str(work.seconds)]
    command = [sys.executable, str(Path(__file__).parent / "bare.py"), *words]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Rate(found["rate"], found["cpu"])


def _served(port: int, name: str, work: Work, processes: tuple[int, int], seconds: float) -> Rate:
    """A client as thin as can be, so that it takes little of the machine: the events are counted by the server."""
    asked = {"model": name, "prompt": PROMPT, "max_tokens": work.tokens, "temperature": 0, "stream": True}
    body = json.dumps(asked | {"stream_options": {"include_usage": True}})
    client = http.client.HTTPConnection("127.0.0.1", port)
    tokens, begun, cpu = 0, time.perf_counter(), sum(cpu_seconds(processes))
    while time.perf_counter() - begun < seconds:
        client.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        *_, count, done, _ = client.getresponse().read().split(b"\n\n")
        assert done == b"data: [DONE]", done
        tokens += json.loads(count.removeprefix(b"data: "))["usage"]["completion_tokens"]
    wall, used = time.perf_counter() - begun, sum(cpu_seconds(processes)) - cpu
    client.close()
    return Rate(tokens / wall, 1000 * used / tokens)
