"""What a case can run on, and what cannot be tried at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler.artifact.artifact import File
from compiler.base.diagnostics import Stop
from compiler.fit.check import Estimate
from compiler.fleet.graph import Runtime
from compiler.testing import machine
from compiler.testing.cases import Case
from compiler.testing.machine import Machine, Skip, machine_for
from tests.values import ARTIFACT, CLASS, COHORT, FLEET, RUN, digest

OTHER = Runtime("builtin/other")
OWN = Runtime("builtin/onnxruntime", configuration="serve.json")


def case(arch: str = "arm64", isa: tuple[str, ...] = ("neon",), runtime: Runtime | None = OWN, *names: str) -> Case:
    hardware = replace(CLASS, arch=arch, isa=isa)
    run = replace(RUN, runtime=runtime)
    cohort = replace(COHORT, device_class=hardware, runs=(run,))
    files = tuple(File(name, 1, digest("1")) for name in names or ("genai_config.json", "model.onnx"))
    return Case(FLEET, cohort, run, replace(ARTIFACT, files=files), Estimate("shops", "pi", (), 0, 0))


@pytest.fixture
def amd64(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of amd64 whose programs are those in the folder given."""
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def qemu(folder: Path, version: str) -> Path:
    program = folder / "qemu-aarch64"
    program.write_text(f"#!/bin/sh\necho 'qemu-aarch64 version {version} (Debian 1:{version}+dfsg-1)'\n")
    program.chmod(0o755)
    return program


def root(folder: Path, *packages: str) -> Path:
    for name in packages:
        (folder / "opt/slmc/lib/python3.13/site-packages" / name).mkdir(parents=True)
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/python3.13").touch()
    return folder


def test_arm64_without_qemu_is_skipped(amd64: Path) -> None:
    assert machine_for(case(), None) == Skip("this machine is amd64, and `qemu-aarch64` is not installed")


def test_arm64_with_a_qemu_that_crashes_is_skipped(amd64: Path) -> None:
    qemu(amd64, "7.2.19")
    assert machine_for(case(), None) == Skip("`qemu-aarch64` is of version 7, and 10 is the oldest that is known to do")


def test_arm64_without_a_root_is_skipped(amd64: Path) -> None:
    qemu(amd64, "10.0.2")
    assert machine_for(case(), None) == Skip("neither --root nor $SLMC_ARM64_ROOT names a file system for arm64")


def test_amd64_on_another_machine_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine_for(case("amd64"), None) == Skip("this machine is arm64, and slmc emulates arm64 alone")


@pytest.mark.parametrize(
    ("isa", "processor"),
    [
        ((), "cortex-a72"),
        (("neon",), "cortex-a72"),
        (("neon", "dotprod", "fp16"), "cortex-a76"),
        (("neon", "dotprod", "fp16", "i8mm", "bf16", "sve"), "neoverse-v1"),
    ],
)
def test_the_processor_is_one_of_the_class(isa: tuple[str, ...], processor: str, amd64: Path, tmp_path: Path) -> None:
    program = qemu(amd64, "10.0.2")
    folder = root(tmp_path / "root", "slmc_runtime", "onnxruntime", "onnxruntime_genai", "tokenizers")
    assert machine_for(case(isa=isa), folder) == Machine(
        "qemu",
        (str(program), "-L", str(folder), "-cpu", processor, f"{folder}/usr/bin/python3.13"),
        {"PYTHONPATH": f"{folder}/opt/slmc/lib/python3.13/site-packages"},
        512 * 2**20,
    )


def test_a_root_that_lacks_something(amd64: Path, tmp_path: Path) -> None:
    qemu(amd64, "10.0.2")
    with pytest.raises(Stop) as stop:
        machine_for(case(), root(tmp_path / "bare"))
    (found,) = stop.value.diagnostics
    assert (found.code.id, found.message) == (
        "SLM520",
        f"The file system `{tmp_path}/bare` has no Python with a `/opt/slmc`.",
    )
    folder = root(tmp_path / "half", "slmc_runtime", "onnxruntime", "tokenizers")
    with pytest.raises(Stop) as stop:
        machine_for(case(), folder)
    (found,) = stop.value.diagnostics
    assert found.message == f"The file system `{folder}` lacks `onnxruntime_genai` in its /opt/slmc."


@pytest.mark.parametrize(
    ("runtime", "names", "expected"),
    [
        (OWN, ("model.gguf",), None),
        (OTHER, ("genai_config.json", "model.onnx"), None),
        (None, ("genai_config.json", "model.onnx"), None),
        (OTHER, ("model.gguf",), "`builtin/other` serves it, and slmc's runtime does not load `model.gguf`"),
        (
            None,
            ("genai_config.json", "openvino_model.xml"),
            "a command or an image of its own serves it, and slmc's runtime does not load `openvino_model.xml`",
        ),
        (OTHER, ("model.onnx",), "`builtin/other` serves it, and for slmc's runtime it lacks `genai_config.json`"),
    ],
)
def test_what_slmcs_runtime_does_not_load(
    runtime: Runtime | None, names: tuple[str, ...], expected: str | None
) -> None:
    assert case("amd64", (), runtime, *names).unfit == expected
