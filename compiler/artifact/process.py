"""Run a piece of heavy work in a process of its own.

Whatever loads numpy, onnx, onnxruntime or tokenizers runs there: a crash of native code, its
log lines and its memory stay out of the compiler, and the hash seed is the same every time.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from compiler.artifact.reason import without_folders

_PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


_LAST_LINES, _WIDEST = 5, 200
"""Of a log: how much of it goes into a diagnostic."""

_PARAMETERS = "parameters"
"""Of a step, in its request."""

_MESSAGES, _PARTS = ("failed", "reason", "message"), ("problems", "candidates")
"""Where tasks put sentences for diagnostics: in the result and in the parts of it."""


class Failed(Exception):
    """The work failed; the text is one line that says why. `crashed`: the process died. `log`: its last lines then."""

    def __init__(self, why: str, *, crashed: bool = False, log: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.crashed = crashed
        self.log = log


@dataclass(slots=True)
class Leash:
    """Holds processes that several threads wait for, to end them all at once."""

    _held: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _cut: bool = False
    _lock: Lock = field(default_factory=Lock)

    def hold(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._held.add(process)
            if self._cut:
                process.kill()

    def release(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._held.discard(process)

    def cut(self) -> None:
        """Kill those that run, and each one that is still to come."""
        with self._lock:
            self._cut = True
            for process in self._held:
                process.kill()


def run(
    task: str,
    request: Mapping[str, Any],
    on_event: Callable[[Any], None] | None = None,
    *,
    log: Path | None = None,
    leash: Leash | None = None,
) -> Any:
    """Do `task` (one of `child.TASKS`) and give its result. Raises Failed.

    `on_event` gets what the task tells while it runs. What libraries print goes to the file `log`, otherwise nowhere.
    Folders that the request names are taken out of the messages that come back: no diagnostic tells where a build ran.
    All else comes as it is, texts of the evaluation data above all.
    """
    command = [sys.executable, "-P", "-m", "compiler.artifact.child", task]
    with ExitStack() as stack:
        errors = stack.enter_context(log.open("wb")) if log else subprocess.DEVNULL
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_environment())
        )
        assert process.stdout
        if leash:
            leash.hold(process)
            stack.callback(leash.release, process)
        try:
            _send(process, json.dumps(request).encode())
            answer = _answer(process.stdout, on_event)
        except BaseException:
            process.kill()
            raise
        process.wait()
    if answer is None:
        raise Failed(_end(process.returncode), crashed=True, log=_last_lines(log, _folders(request)))
    folders = _folders(request)
    if "failed" in answer:
        raise Failed(without_folders(answer["failed"], folders))
    return _scrubbed(answer["result"], folders)


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
    """The absolute paths in a request, and the folders that they are in. Parameters of steps name none: what looks like
    one there is a node, as exporters call them."""
    if isinstance(value, str):
        path = Path(value)
        return {value, str(path.parent)} if path.is_absolute() and len(path.parts) > 2 else set()
    if isinstance(value, Mapping):
        value = [one for key, one in value.items() if key != _PARAMETERS]
    inner = value if isinstance(value, list) else ()
    return set().union(*map(_folders, inner))


def _scrubbed(result: Any, folders: Iterable[str]) -> Any:
    """A result with its messages rid of folders, wherever a task has them."""
    if not isinstance(result, dict):
        return result
    found = dict(result)
    for key, value in result.items():
        if key in _MESSAGES and isinstance(value, str):
            found[key] = without_folders(value, folders)
        elif key in _PARTS and isinstance(value, list):
            found[key] = [_scrubbed(part, folders) for part in value]
    if "remarks" in result:
        found["remarks"] = [[code, without_folders(message, folders)] for code, message in result["remarks"]]
    return found


def _end(returncode: int) -> str:
    if returncode == -signal.SIGKILL:
        return "the process was killed, perhaps for want of memory"
    if returncode < 0:
        return f"the process crashed with {signal.Signals(-returncode).name}"
    return f"the process ended with exit code {returncode} and no result"


def _last_lines(log: Path | None, folders: Iterable[str]) -> tuple[str, ...]:
    """What a process said last, without the folders of this machine."""
    if log is None:
        return ()
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2**16))
        text = file.read().decode(errors="replace")
    lines = [line.rstrip() for line in without_folders(text, folders).splitlines() if line.strip()]
    return tuple(_ABSOLUTE.sub(r"\1", line)[:_WIDEST] for line in lines[-_LAST_LINES:])


_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^\s/'\"<>():]+/)+([^\s/'\"<>():]*)")
"""An absolute path, with its last part as a group."""
