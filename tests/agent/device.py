"""A device below a scratch folder: the real agent and its real tools, a stub in the place of systemd."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agent.shop import DEVICE, FLEET
from tests.conftest import REPOSITORY

AGENT = REPOSITORY / "agent" / "slmc-agent"

_SYSTEMCTL = r"""#!/bin/sh
# Notes what it was asked to do. A unit file that says `# broken` starts but is never ready, one that says `# refused`
# does not start, for an Assert line does not hold, and one that says `# fails` has failed.
case $1 in is-* | show) ;; *) echo "$*" >>"$SLMC_ROOT/calls" ;; esac
for unit; do :; done
file=$SLMC_ROOT/etc/systemd/system/$unit
running=$SLMC_ROOT/running/$unit
case $1 in
  start | restart | reload-or-restart)
    rm -f "$running" "$running.broken"
    [ -f "$file" ] || exit 5
    grep -Eq '^# (refused|fails)' "$file" && exit 1
    ! grep -q '^# broken' "$file" || : >"$running.broken"
    current=$(readlink "$SLMC_ROOT/var/lib/slmc/current")
    printf %s "${current##*/}" >"$running"
    ;;
  disable) rm -f "$running" "$running.broken" ;;
  is-active) [ -f "$running" ] ;;
  is-failed) false ;;
  show)
    case $2 in
      *ActiveState) [ -f "$running" ] && echo active || echo inactive ;;
      *AssertResult) grep -q '^# refused' "$file" && echo no || echo yes ;;
    esac
    ;;
esac
"""
_NOTED = '#!/bin/sh\necho "${0##*/} $*" >>"$SLMC_ROOT/calls"\n'


def stubs(folder: Path) -> Path:
    """A folder for the front of PATH."""
    folder.mkdir()
    for name, text in {"systemctl": _SYSTEMCTL, "systemd-sysusers": _NOTED, "systemd-tmpfiles": _NOTED}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@dataclass
class Device:
    root: Path
    path: Sequence[Path]
    """Folders before those of PATH."""
    settings: dict[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("dash",)

    def prepare(self, signers: str, **settings: str) -> None:
        (self.root / "etc" / "slmc").mkdir(parents=True)
        (self.root / "running").mkdir()
        (self.root / "etc/slmc/allowed_signers").write_text(signers)
        self.settings = {
            "DEVICE": DEVICE,
            "FLEET": FLEET,
            "TARGET": "systemd",
            "SIGNERS": "/etc/slmc/allowed_signers",
            "TIMEOUT": "60",
        }
        self.configure(**settings)

    def configure(self, **settings: str) -> None:
        self.settings |= settings
        text = "".join(f"{key}={value}\n" for key, value in self.settings.items())
        (self.root / "etc/slmc/agent.conf").write_text(text)

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The agent in a process group of its own."""
        path = os.pathsep.join([*map(str, self.path), os.environ["PATH"], "/usr/sbin", "/sbin"])
        environment = {**os.environ, "PATH": path, "SLMC_ROOT": str(self.root), **(env or {})}
        return subprocess.Popen(
            [*self.shell, AGENT, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sync(self, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Exit code, and what was said."""
        return self.command("sync", *words, env=env)

    def command(self, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        done = self.start(*words, env=env)
        said, errors = done.communicate(timeout=120)
        assert said == ""
        return done.returncode, errors

    @property
    def status(self) -> dict[str, Any]:
        """`status.json`; a time is given as `TIME`."""
        found: dict[str, Any] = json.loads((self.root / "var/lib/slmc/state/status.json").read_text())
        return {name: "TIME" if _TIME.fullmatch(str(value)) else value for name, value in found.items()}

    @property
    def calls(self) -> list[str]:
        """What systemd was asked since the last look."""
        path = self.root / "calls"
        if not path.exists():
            return []
        found = path.read_text().splitlines()
        path.unlink()
        return found

    @property
    def tree(self) -> dict[str, str | bytes]:
        """What is on the device: files by path, links as `→ target`, without the repository and what changes always."""
        found: dict[str, str | bytes] = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_symlink():
                found[name] = f"→ {path.readlink()}"
            elif path.is_file() and not name.startswith(_PASSED_OVER):
                found[name] = path.read_bytes()
        return found


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_STATE = "var/lib/slmc/state"
_PASSED_OVER = (
    "calls",
    f"{_STATE}/repository/",
    f"{_STATE}/status.json",
    f"{_STATE}/slmc.prom",
    f"{_STATE}/contact",
    f"{_STATE}/accepted",
    f"{_STATE}/bad",
)
