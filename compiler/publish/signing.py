"""Signatures by `ssh-keygen -Y` (OpenSSH 8.0 and later, PROTOCOL.sshsig): devices verify them with the same program."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from compiler.base import files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop

_PROGRAM = "ssh-keygen"
_AT_ONCE = 200
"""Files that one process signs."""


def check_key(key: Path, workspace: Path) -> None:
    """Raises Stop for a key that is not there, or that a commit of the workspace could carry away."""
    if not key.is_file():
        raise _cannot(f"There is no key `{key}`.", "`ssh-keygen -t ed25519 -f KEY` makes one.")
    if key.resolve().is_relative_to(workspace.resolve()):
        raise Stop(
            Diagnostic(
                Code.KEY_IN_WORKSPACE,
                f"`{key}` lies in the workspace `{workspace}`.",
                file=str(key),
                help="Move it elsewhere. If it was ever committed, make a new one, and have devices trust that.",
            )
        )


def sign(key: Path, namespace: str, contents: Sequence[bytes]) -> list[bytes]:
    """A signature for each of `contents`. Raises Stop when ssh-keygen is missing or refuses.

    Nothing is asked at a terminal: a key with a passphrase has to be in an agent.
    """
    signatures: list[bytes] = []
    with files.scratch(Path(tempfile.gettempdir())) as scratch:
        for begin in range(0, len(contents), _AT_ONCE):
            paths = [scratch / str(begin + number) for number in range(len(contents[begin : begin + _AT_ONCE]))]
            for path, data in zip(paths, contents[begin:], strict=False):
                files.plant(path, data)
            done = _run("-q", "-Y", "sign", "-f", str(key.absolute()), "-n", namespace, *map(str, paths))
            made = [path.with_name(f"{path.name}.sig") for path in paths]
            if done.returncode or not all(path.is_file() for path in made):
                raise _refused(key, done.stderr)
            signatures += [path.read_bytes() for path in made]
    return signatures


def is_signed(namespace: str, data: bytes, signature: bytes) -> bool:
    """Whether it is a signature of `data`, whoever made it. Raises Stop when ssh-keygen is missing."""
    with files.scratch(Path(tempfile.gettempdir())) as scratch:
        files.plant(scratch / "sig", signature)
        done = _run("-q", "-Y", "check-novalidate", "-n", namespace, "-s", str(scratch / "sig"), data=data)
    return done.returncode == 0


def _run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A session of its own has no terminal to ask for a passphrase."""
    try:
        return subprocess.run(
            [_PROGRAM, *arguments],
            input=data,
            env=os.environ | {"SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
            capture_output=True,
            start_new_session=True,
            check=False,
        )
    except OSError as error:
        raise _cannot(
            f"`{_PROGRAM}` does not run: {error.strerror}.", "Install OpenSSH's client: `openssh-client` on Debian."
        ) from error


def _refused(key: Path, said: bytes) -> Stop:
    text = said.decode("utf-8", "replace")
    if "passphrase" in text:
        return _cannot(
            f"`{key}` is locked with a passphrase.",
            "Unlock it first: `ssh-add KEY` puts it into an agent, which slmc uses by itself.",
        )
    if "UNPROTECTED" in text:
        return _cannot(f"Others may read `{key}`, so `{_PROGRAM}` does not.", "`chmod 600 KEY` keeps them out.")
    if "load public key" in text:
        return _cannot(f"`{key}` is not an SSH key.", "`ssh-keygen -t ed25519 -f KEY` makes one.")
    lines = [line.strip(" @") for line in text.splitlines() if line.strip(" @")]
    return _cannot(f"`{_PROGRAM}` does not sign with `{key}`: {(lines or ['it says nothing'])[-1].rstrip('.')}.", None)


def _cannot(message: str, help: str | None) -> Stop:
    return Stop(Diagnostic(Code.CANNOT_SIGN, message, help=help))
