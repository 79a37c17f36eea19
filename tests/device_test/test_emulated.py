"""An arm64 class on this machine: real qemu, and a real arm64 system with the runtime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.testing.machine import native
from tests.conftest import REPOSITORY
from tests.device_test.asked import MODEL, ask, edit, messages
from tests.tools import absent, tool

ROOT = REPOSITORY / ".ci" / "roots" / "arm64"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(native() == "arm64", reason="this machine needs no emulation for arm64"),
]


@pytest.fixture(autouse=True)
def _emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(tool('qemu-aarch64')).parent}{os.pathsep}{os.environ['PATH']}")
    if not (ROOT / "opt/slmc/of-runtime").exists():
        absent(f"{ROOT.relative_to(REPOSITORY)} is not there: .ci/arm64-root makes it")
    monkeypatch.setenv("SLMC_ARM64_ROOT", str(ROOT))


def test_arm64_answers_as_it_was_measured(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = ask(capsys, compiled, "--class", "counter-pi")
    (result,) = answer["results"]
    assert (code, result["how"], result["status"], result["answers"], result["reason"]) == (
        0,
        "qemu",
        "passed",
        {"passed": 4, "failed": 0},
        None,
    )


def test_an_answer_that_is_another_fails_there_too(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "slmc.lock", '"values": "-0', '"values": "-9')
    code, answer = ask(capsys, shop, "--class", "counter-pi")
    assert (code, [one["code"] for one in answer["diagnostics"]]) == (4, ["SLM406"])


def test_the_emulators_memory_is_not_the_runs(shop: Path, holding: None, capsys: pytest.CaptureFixture[str]) -> None:
    edit(shop / "hello.slmc.yaml", MODEL, f"{MODEL}        memoryLimit: 100MiB\n")
    code, answer = ask(capsys, shop, "--class", "counter-pi")
    (result,) = answer["results"]
    assert (code, messages(answer), result["status"]) == (0, [], "passed")
    assert result["memory"]["peak"] > result["memory"]["limit"] == 100 * 2**20
    assert result["limitsNotEnforced"] == (
        "memory: what the emulator takes counts as well, so 512.0 MiB more were allowed"
    )
