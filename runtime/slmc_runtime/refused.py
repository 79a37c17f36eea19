"""Why the server does not start, and what it then exits with: codes of sysexits.h, which systemd knows by name."""

from __future__ import annotations

import os

CONFIG = os.EX_CONFIG
"""78: `serve.json`, another file of the bundle or a variable of the environment cannot be used."""
ABSENT = os.EX_NOINPUT
"""66: the bundle or the artifact is not there."""
DIFFERS = os.EX_DATAERR
"""65: a file is not the one that the bundle names, or an answer not the golden one."""
MACHINE = os.EX_UNAVAILABLE
"""69: this machine or what is installed on it is not what the run needs."""
MODEL = os.EX_SOFTWARE
"""70: the artifact does not load, or the model's process ended."""
SYSTEM = os.EX_OSERR
"""71: the port is taken. The only one that a later try may mend."""


class Refused(Exception):
    """The server cannot start. The text is one line."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
