"""What a case runs on: this machine, or an emulation of the class's processor."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop
from compiler.base.shipped import shipped
from compiler.testing.cases import Case

ROOT_VARIABLE = "SLMC_ARM64_ROOT"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PROGRAMS = ("qemu-aarch64", "qemu-aarch64-static")
_OLDEST = 10
"""7.2 crashes in ONNX Runtime, 10.0 does not."""
_NEWER = (("sve", "neoverse-v1"), ("i8mm", "neoverse-v1"), ("bf16", "neoverse-v1"), ("dotprod", "cortex-a76"))
"""What qemu calls the processor that has an instruction set of a class."""
_PLAIN = "cortex-a72"
_EMULATOR = 512 * 2**20
"""Bytes that qemu may take for itself: it took 120 MiB for a model of two megabytes, most of it translated code."""
_EXTRA = "pip install 'slmc[test]'"


@dataclass(frozen=True, slots=True)
class Machine:
    """How the runtime is started: the words before its own, and what its environment has beside the usual.

    `allowance`: bytes beyond the run's limit that an emulator may take.
    """

    how: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    allowance: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """Why there is no machine for the case."""

    reason: str


def native() -> str:
    """The architecture of this machine as Debian and OCI call it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def machine_for(case: Case, root: Path | None) -> Machine | Skip:
    """`root` is a file system for arm64. Raises Stop where the runtime lacks what it needs."""
    if case.unfit:
        return Skip(case.unfit)
    wanted = case.device_class.arch
    if wanted == native():
        return _here(case)
    if wanted != "arm64":
        return Skip(f"this machine is {native()}, and slmc emulates arm64 alone")
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        return Skip(f"this machine is {native()}, and `{_PROGRAMS[0]}` is not installed")
    version = _version(program)
    if version < _OLDEST:
        return Skip(f"`{Path(program).name}` is of version {version}, and {_OLDEST} is the oldest that is known to do")
    if root is None:
        return Skip(f"neither --root nor ${ROOT_VARIABLE} names a file system for arm64")
    return _emulated(program, root, case)


def _here(case: Case) -> Machine:
    needed = {"onnxruntime": "onnxruntime", "tokenizers": "tokenizers", "numpy": "numpy"}
    if case.generates:
        needed["onnxruntime_genai"] = "onnxruntime-genai"
    if missing := [name for module, name in needed.items() if find_spec(module) is None]:
        raise Stop(
            Diagnostic(
                Code.RUNTIME_MISSING,
                f"slmc's runtime needs {', '.join(f'`{name}`' for name in missing)} to load "
                f"`{case.artifact.name}`, and it is not installed.",
                help=f"Run `{_EXTRA}` in the environment of slmc.",
            )
        )
    return Machine("native", (sys.executable,), {"PYTHONPATH": str(shipped("runtime"))})


def _emulated(program: str, root: Path, case: Case) -> Machine:
    """Python of `root` with what is in its /opt/slmc. No rights are needed: qemu itself looks below `root`."""
    packages = next(iter(sorted(root.glob("opt/slmc/lib/python3.*/site-packages"))), None)
    places = [root / place / packages.parent.name for place in ("usr/bin", "usr/local/bin")] if packages else []
    python = next((place for place in places if place.is_file()), None)
    needed = ("slmc_runtime", "onnxruntime", "tokenizers", *(("onnxruntime_genai",) if case.generates else ()))
    if packages is None or python is None:
        raise Stop(_unusable(root, "has no Python with a `/opt/slmc`"))
    if missing := [name for name in needed if not (packages / name).is_dir()]:
        raise Stop(_unusable(root, f"lacks {', '.join(f'`{name}`' for name in missing)} in its /opt/slmc"))
    sets = case.device_class.isa
    processor = next((cpu for name, cpu in _NEWER if name in sets), _PLAIN)
    words = (program, "-L", str(root.resolve()), "-cpu", processor, str(python.resolve()))
    return Machine("qemu", words, {"PYTHONPATH": str(packages.resolve())}, _EMULATOR)


def _unusable(root: Path, why: str) -> Diagnostic:
    return Diagnostic(
        Code.RUNTIME_MISSING,
        f"The file system `{root}` {why}.",
        help=f"`--root` and ${ROOT_VARIABLE} name an arm64 system with the runtime in /opt/slmc, as a device has it.",
    )


def _version(program: str) -> int:
    """The major version; 0 when it does not say."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, env=os.environ)
    except OSError:
        return 0
    found = re.search(r"version (\d+)\.", done.stdout)
    return int(found[1]) if found else 0
