"""What speed is measured on: the words that stand beside every figure of this machine."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

_MOST_THREADS = 4


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def threads() -> int:
    """The same, at most four: devices have no more to give."""
    return min(_MOST_THREADS, processors())


def label() -> str:
    """Processor, threads and onnxruntime, without a host name."""
    count = threads()
    return f"{_processor()}, {count} thread{'' if count == 1 else 's'}, onnxruntime {version('onnxruntime')}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return facts.get("model name") or facts.get("Model") or os.uname().machine
