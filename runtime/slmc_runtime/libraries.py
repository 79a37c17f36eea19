"""The only module that imports onnxruntime and onnxruntime-genai.

From 1.29 on onnxruntime's Linux wheels send telemetry unless `ORT_DISABLE_TELEMETRY=1` stands in the environment before
the library loads; onnxruntime-genai has the same switch. Calls that disable events come too late.
"""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from slmc_runtime.refused import MACHINE, Refused

_SWITCH = "ORT_DISABLE_TELEMETRY"
LOG_FATAL = 4


def silence() -> None:
    """Switch telemetry off for this process, whatever the environment said, and see that the libraries will read that.

    Raises Refused when one is already loaded, or when the C library does not have the variable.
    """
    if os.environ.get(_SWITCH) != "1" and any(name.startswith("onnxruntime") for name in sys.modules):
        raise Refused(MACHINE, f"onnxruntime was loaded without {_SWITCH}=1, so it may send telemetry")
    os.environ[_SWITCH] = "1"
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    if getenv(_SWITCH.encode()) != b"1":
        raise Refused(MACHINE, f"{_SWITCH}=1 does not reach onnxruntime, so it might send telemetry")


def onnxruntime() -> Any:
    """The module. Raises Refused."""
    silence()
    try:
        import onnxruntime as module
    except ImportError:
        raise Refused(MACHINE, "onnxruntime is not installed, or not for this machine") from None
    module.set_default_logger_severity(LOG_FATAL)
    return module


def genai() -> Any:
    """The module. Raises Refused."""
    silence()
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
