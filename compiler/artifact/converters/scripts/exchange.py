"""Requests and answers of a converter's script: JSON on standard input and output, one object a line."""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

Tell = Callable[[float], None]


class Refused(Exception):
    """What is asked for cannot be had from this input. The text is a sentence."""


def main(name: str, task: str) -> None:
    """Do `task` of the sibling module `name`: a function of the request and `tell`, which gives plain JSON values."""
    _end_with_parent()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    def send(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        module = importlib.import_module(f".{name}", __package__)
        result = getattr(module, task)(json.load(sys.stdin), lambda share: send({"event": share}))
    except Refused as refused:
        send({"refused": str(refused)})
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        send({"failed": f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__})
        logging.disable(logging.NOTSET)
        logging.exception("the log of the converter")
    else:
        send({"result": result})
    # Nothing is left to do, and taking torch apart takes its time.
    replies.close()
    os._exit(0)


def _end_with_parent() -> None:
    """Have the kernel kill this process when slmc dies: nobody would read the result. prctl(2)."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.environ.get("SLMC_PARENT") not in (None, str(os.getppid())):
        os._exit(1)
