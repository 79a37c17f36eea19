"""systemd's notification protocol, sd_notify(3).

The library for it in Python, sdnotify, had its last release in 2017; systemd-python needs a compiler on the device.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY, STOPPING, WATCHDOG = "READY=1", "STOPPING=1", "WATCHDOG=1"


def awaited(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether systemd waits to hear that the server is ready."""
    return environment.get("NOTIFY_SOCKET", "").startswith(("/", "@"))


def notify(*lines: str, wait: float = 2.0, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, when it asked. That it does not listen stops nobody: for so many seconds at most."""
    if not awaited(environment):
        return
    address = environment["NOTIFY_SOCKET"]
    # A leading @ stands for the NUL of the abstract namespace.
    name = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(wait)
        try:
            channel.connect(name)
            channel.sendall("\n".join(lines).encode())
        except OSError:
            return


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often systemd wants to hear from this process at least; None when it does not."""
    usec, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not usec.isdigit() or int(usec) == 0 or (process and process != str(os.getpid())):
        return None
    return int(usec) / 1_000_000
