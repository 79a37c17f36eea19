"""SSH keys and the signatures that they make, by OpenSSH's own program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.tools import tool


def make_key(path: Path, passphrase: str = "", comment: str = "") -> Path:
    """A private key; the public one lies beside it."""
    command = [tool("ssh-keygen"), "-q", "-t", "ed25519", "-C", comment, "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def sign(file: Path, key: Path, namespace: str = "slmc-release") -> None:
    """Write the signature beside the file, also where there is one."""
    file.with_name(f"{file.name}.sig").unlink(missing_ok=True)
    command = [tool("ssh-keygen"), "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(file)]
    subprocess.run(command, check=True, capture_output=True)
