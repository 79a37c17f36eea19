"""Run a script of `scripts/` with the interpreter of a converter's environment.

The same exchange as `compiler.artifact.process`: a request as JSON on standard input, messages as JSON lines on
standard output. The script sees none of slmc's packages and no settings of the user; its home is a scratch folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compiler.artifact.converters import environment
from compiler.artifact.reason import without_folders

_BOOT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
main = importlib.import_module("scripts.exchange").main
sys.path.pop(0)
main(sys.argv[2], sys.argv[3])
"""

_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

_SETTINGS = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
}


class Missing(Exception):
    """The environment was not made. The text is the converter's name."""


class Failed(Exception):
    """The script failed; the text is one line. `refused`: its input does not suit it."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


def call(
    root: Path, name: str, task: str, request: Mapping[str, Any], scratch: Path, tell: Callable[[float], None]
) -> Any:
    """Do `task` of converter `name` and give its result. Raises Missing and Failed.

    `root` is the folder of all environments; `scratch` an empty folder for the script's home and log.
    """
    if environment.python(root, name) is None:
        raise Missing(name)  # before anything is written for the lock
    with environment.in_use(root, name):
        python = environment.python(root, name)
        if python is None:
            raise Missing(name)
        home, log = scratch.absolute() / f"{task}-home", scratch / f"{task}.log"
        _opt_out(home)
        command = [str(python), "-s", "-c", _BOOT, str(Path(__file__).parent), name, task]
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_environment(home), cwd=home
            ) as process,
        ):
            try:
                answer = _answer(process, request, tell)
            except BaseException:
                process.kill()
                raise
        if answer is None:
            raise Failed(_without_folders(_end(process.returncode, log), request))
        if "result" not in answer:
            said = answer.get("refused") or answer["failed"]
            raise Failed(_without_folders(said, request), refused="refused" in answer)
        return answer["result"]


def _without_folders(text: str, request: Mapping[str, Any]) -> str:
    """No diagnostic tells where a build ran."""
    paths = [Path(value) for value in request.values() if isinstance(value, str) and value.startswith("/")]
    return without_folders(text, {str(path.parent) for path in paths if len(path.parts) > 2})


def _answer(
    process: subprocess.Popen[bytes], request: Mapping[str, Any], tell: Callable[[float], None]
) -> dict[str, Any] | None:
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # It ended before it read anything; `_end` says how.
    for line in process.stdout:
        message = json.loads(line)
        if "event" not in message:
            return dict(message)
        tell(message["event"])
    return None


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | _SETTINGS | {"HOME": str(home), "HF_HOME": str(home / "huggingface"), "SLMC_PARENT": str(os.getpid())}


def _opt_out(home: Path) -> None:
    """Make the home, with the word by which OpenVINO's tools know that they may not send anything."""
    (home / "intel").mkdir(parents=True, exist_ok=True)
    (home / "intel" / "openvino_telemetry").write_text("0")


def _end(returncode: int, log: Path) -> str:
    if returncode == -signal.SIGKILL:
        return "the converter was killed, perhaps for want of memory"
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    how = f"crashed with {signal.Signals(-returncode).name}" if returncode < 0 else f"ended with exit code {returncode}"
    return f"the converter {how}{last}"
