"""Run a piece of heavy work in a process of its own.

Whatever loads numpy, onnx, onnxruntime or tokenizers runs there: a crash of native code, its
log lines and its memory stay out of the compiler, and the hash seed is the same every time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


class Failed(Exception):
    """The work failed; the text is one line that says why. `crashed`: the process died."""

    def __init__(self, why: str, *, crashed: bool = False) -> None:
        super().__init__(why)
        self.crashed = crashed


def run(task: str, request: Mapping[str, Any], on_event: Callable[[Any], None] | None = None) -> Any:
    """Do `task` (one of `child.TASKS`) and give its result. Raises Failed.

    `on_event` gets what the task tells while it runs. Folders that the request names are taken out of every text
    that comes back: no diagnostic tells where a build ran.
    """
    command = [sys.executable, "-P", "-m", "compiler.artifact.child", task]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    ) as process:
        assert process.stdin and process.stdout
        try:
            _send(process, json.dumps(request).encode())
            answer = _answer(process.stdout, on_event)
        except BaseException:
            process.kill()
            raise
    if answer is None:
        raise Failed(_end(process.returncode), crashed=True)
    answer = _without(_folders(request), answer)
    if "failed" in answer:
        raise Failed(answer["failed"])
    return answer["result"]


def _send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin
    try:
        process.stdin.write(data)
        process.stdin.close()
    except BrokenPipeError:
        pass  # It ended before it read anything; `_end` says how.


def _answer(replies: Iterable[bytes], on_event: Callable[[Any], None] | None) -> dict[str, Any] | None:
    """The message with the result or the failure; None when the process ended without one."""
    for line in replies:
        if not line.endswith(b"\n"):
            return None
        message = json.loads(line)
        if "event" not in message:
            return dict(message)
        if on_event:
            on_event(message["event"])
    return None


def _environment() -> dict[str, str]:
    paths = [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONHASHSEED": "0",
        "ORT_DISABLE_TELEMETRY": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "SLMC_PARENT": str(os.getpid()),
    }


def _folders(value: Any) -> set[str]:
    """The absolute paths in a request, and the folders that they are in."""
    if isinstance(value, str):
        path = Path(value)
        return {value, str(path.parent)} if path.is_absolute() and len(path.parts) > 2 else set()
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return set().union(*map(_folders, inner))


def _without(folders: Iterable[str], value: Any) -> Any:
    if isinstance(value, str):
        for folder in sorted(folders, key=lambda folder: (-len(folder), folder)):
            value = value.replace(f"{folder}/", "").replace(folder, Path(folder).name)
        return value
    if isinstance(value, dict):
        return {key: _without(folders, inner) for key, inner in value.items()}
    return [_without(folders, inner) for inner in value] if isinstance(value, list) else value


def _end(returncode: int) -> str:
    if returncode == -signal.SIGKILL:
        return "the process was killed, perhaps for want of memory"
    if returncode < 0:
        return f"the process crashed with {signal.Signals(-returncode).name}"
    return f"the process ended with exit code {returncode} and no result"
