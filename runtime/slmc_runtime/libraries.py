"""The only module that imports onnxruntime and onnxruntime-genai.

From 1.29 on onnxruntime's Linux wheels send telemetry unless `ORT_DISABLE_TELEMETRY=1` stands in the environment before
the library loads; onnxruntime-genai has the same switch. Calls that disable events come too late.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from slmc_runtime.refused import MACHINE, Refused

_SWITCH = "ORT_DISABLE_TELEMETRY"
LOG_FATAL = 4


def silence() -> None:
    """Switch telemetry off, whatever the environment said: this process begins anew with the variable in place.

    So it stands in /proc/PID/environ of both processes, where anyone can see it.
    """
    if os.environ.get(_SWITCH) != "1":
        os.environ[_SWITCH] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _silent() -> None:
    """Raises Refused where a library that is loaded now would send telemetry."""
    if os.environ.get(_SWITCH) != "1":
        raise Refused(MACHINE, f"{_SWITCH}=1 is not in the environment, so onnxruntime would send telemetry")


def onnxruntime() -> Any:
    """The module. Raises Refused."""
    _silent()
    try:
        import onnxruntime as module
    except ImportError:
        raise Refused(MACHINE, "onnxruntime is not installed, or not for this machine") from None
    module.set_default_logger_severity(LOG_FATAL)
    return module


def genai() -> Any:
    """The module. Raises Refused."""
    _silent()
    try:
        import onnxruntime_genai as module
    except ImportError:
        raise Refused(
            MACHINE, "onnxruntime-genai is not installed: text generation needs slmc-runtime[genai]"
        ) from None
    return module


def versions() -> dict[str, str]:
    """Of what computes, by distribution."""
    found = {}
    for name in ("onnxruntime", "onnxruntime-genai", "tokenizers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
