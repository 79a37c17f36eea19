"""CPU time of whole `slmc` processes, best of five, beside the bare interpreter: `python benchmarks/startup.py`.

Children's user + system time by `os.wait4`. Run it on an idle machine; quote ratios to the floor.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

HELLO = Path(__file__).parent.parent / "blueprints" / "hello"
SLMC = str(Path(sys.executable).parent / "slmc")


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system seconds of one run of `command`. Raises SystemExit when it fails."""
    silence = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    child = os.posix_spawn(command[0], command, environment, file_actions=silence)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = shutil.copytree(HELLO, Path(folder, "hello"))
        environment = os.environ | {"SLMC_STORE": str(Path(folder, "store"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        cpu_seconds([SLMC, "compile", str(workspace)], environment)
        rows = {
            "python -c pass (floor)": ([sys.executable, "-c", "pass"], None),
            "slmc --help": ([SLMC, "--help"], 0.12),
            "slmc validate blueprints/hello": ([SLMC, "validate", str(workspace)], 0.35),
            "slmc compile blueprints/hello, nothing to do": ([SLMC, "compile", str(workspace)], 0.6),
            "slmc compile --check blueprints/hello": ([SLMC, "compile", "--check", str(workspace)], None),
        }
        best = {name: min(cpu_seconds(command, environment) for _ in range(5)) for name, (command, _) in rows.items()}
    floor = best["python -c pass (floor)"]
    print(f"{'command':46}{'CPU s':>8}{'x floor':>9}{'goal':>7}")
    for name, (_, goal) in rows.items():
        print(f"{name:46}{best[name]:8.3f}{best[name] / floor:9.1f}{goal or '':>7}")


if __name__ == "__main__":
    main()
