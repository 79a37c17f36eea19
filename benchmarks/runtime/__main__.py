"""`python -m benchmarks.runtime`: ten minutes of load, then throughput; `--help` has the options."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.runtime import load, throughput
from benchmarks.runtime.bundle import DEVICE_LIMITS, context_of, write
from benchmarks.runtime.throughput import Compared, Work

ROOT = Path(__file__).parent.parent.parent
_MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtime", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "blueprints" / "hello" / "models" / "pydoc-1.0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=256, help="generated in one request, of throughput")
    parser.add_argument("--seconds", type=float, default=600.0, help="of load")
    parser.add_argument("--rounds", type=int, default=9, help="of throughput, 3 seconds of each")
    asked = parser.parse_args()
    print(" ".join(f"{name} {version(name)}" for name in ("onnxruntime", "onnxruntime-genai", "starlette", "uvicorn")))
    with tempfile.TemporaryDirectory() as folder:
        bundle = write(Path(folder), asked.model.resolve(), asked.threads)
        with _served(bundle) as (port, processes):
            if asked.seconds:
                _under_load(port, processes, asked.seconds)
            if asked.rounds:
                tokens = min(asked.tokens, context_of(asked.model) - 16)
                work = Work(asked.model.resolve(), asked.threads, tokens, 3.0, asked.rounds)
                _print(throughput.compare(work, port, processes, "pydoc"))


def _under_load(port: int, processes: tuple[int, int], seconds: float) -> None:
    streams = DEVICE_LIMITS["queue"] + 1
    found = load.run(load.Load(port, processes, streams, DEVICE_LIMITS["requestBytes"], seconds))
    print(f"load: {streams} streams, {seconds:g} s: {dict(found.counts)}; errors: {len(found.errors)}")
    for error in found.errors[:10]:
        print(f"  {error}")
    tenth = max(1, len(found.memory) // 10)
    print("memory, MiB: " + ", ".join(f"{held / _MIB:.1f} at {at:.0f} s" for at, held in found.memory[::tenth]))
    print(f"CPU s: server {found.cpu[0]:.1f}, model {found.cpu[1]:.1f}")


def _print(found: Compared) -> None:
    for name, rates in (("bare loop", found.bare), ("server", found.served)):
        rate, cpu = (statistics.median(getattr(one, kind) for one in rates) for kind in ("rate", "cpu"))
        print(f"{name:10} {rate:8.1f} tokens/s  {cpu:6.3f} CPU s per 1000 tokens")
    best = max(one.rate for one in found.served) / max(one.rate for one in found.bare)
    ratios = sorted(one.rate / other.rate for one, other in zip(found.served, found.bare, strict=True))
    print(
        f"server / bare loop: {found.ratio:.3f} (rounds: {ratios[0]:.3f} to {ratios[-1]:.3f}; best of each: {best:.3f})"
    )


@contextlib.contextmanager
def _served(bundle: Path) -> Iterator[tuple[int, tuple[int, int]]]:
    """Port, and the ids of the server's two processes."""
    port = int(json.loads((bundle / "serve.json").read_text())["runs"]["counter"]["port"])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "runtime")}
    command = [sys.executable, "-m", "slmc_runtime", "--bundle", str(bundle), "--run", "counter"]
    process = subprocess.Popen(command, env=environment)
    try:
        _wait(port, process)
        [model] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield port, (process.pid, int(model))
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(bundle, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
            return
        time.sleep(0.05)
    raise SystemExit("the server ended")


if __name__ == "__main__":
    main()
