"""The other side of `process.run`: `python -m compiler.artifact.child TASK`.

Reads the request as JSON from standard input; writes one JSON object a line to standard output:
`{"event": …}` while it works, then `{"result": …}` or `{"failed": …}`. Anything that a library
prints goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from threading import Lock
from typing import Any

from compiler.artifact.reason import reason

Tell = Callable[[Any], None]


def _inspect(request: dict[str, Any], tell: Tell) -> Any:
    from compiler.artifact.model.inspection import inspect

    return inspect(**request)


def _export(request: dict[str, Any], tell: Tell) -> Any:
    from compiler.artifact.model.export import export

    return export(**request)


def _step(request: dict[str, Any], tell: Tell) -> Any:
    from compiler.artifact.steps.apply import apply_step

    return apply_step(**request, tell=tell)


def _evaluate(request: dict[str, Any], tell: Tell) -> Any:
    from compiler.artifact.evaluation.evaluate import evaluate
    from compiler.artifact.evaluation.request import Request

    return evaluate(request["task"], Request.of(request))


def _speed(request: dict[str, Any], tell: Tell) -> Any:
    from compiler.artifact.measuring.generate import measure

    return measure(**request)


TASKS: dict[str, Callable[[dict[str, Any], Tell], Any]] = {
    "inspect": _inspect,
    "export": _export,
    "step": _step,
    "evaluate": _evaluate,
    "speed": _speed,
}


def main() -> None:
    _end_with_parent()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    one_at_a_time = Lock()  # A step may tell of its work from several threads.

    def send(message: dict[str, Any]) -> None:
        with one_at_a_time:
            replies.write(json.dumps(message) + "\n")
            replies.flush()

    try:
        result = TASKS[sys.argv[1]](json.load(sys.stdin), lambda event: send({"event": event}))
    except Exception as error:
        send({"failed": reason(error)})
    else:
        send({"result": result})


def _end_with_parent() -> None:
    """Have the kernel kill this process when the compiler dies: nobody would read the result. prctl(2)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.environ.get("SLMC_PARENT") not in (None, str(os.getppid())):
        os._exit(1)


if __name__ == "__main__":
    main()
