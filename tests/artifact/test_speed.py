"""Speed and memory: measured in a process that does nothing else, labelled with what it ran on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from compiler.artifact.measuring import machine
from compiler.artifact.process import Failed, run
from tests.artifact import tiny


def test_speed_of_a_model_with_a_context_shorter_than_the_measurement(tmp_path: Path) -> None:
    found = run("speed", {"folder": str(tiny.write(tmp_path)), "threads": 1, "task": "text-generation"})
    assert found["tokens_per_second"] > 0
    assert found["latency"] > 0
    # The interpreter with onnxruntime takes tens of MiB; the model takes 5 KiB.
    assert 10 * 2**20 < found["peak_memory"] < 2**30


def test_memory_is_that_of_the_child_alone(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path)
    before = run("speed", {"folder": str(folder), "threads": 1, "task": "text-generation"})["peak_memory"]
    ballast = b"x" * (300 * 2**20)
    after = run("speed", {"folder": str(folder), "threads": 1, "task": "text-generation"})["peak_memory"]
    assert len(ballast) > 0
    assert abs(after - before) < 50 * 2**20


def test_a_model_that_does_not_run_fails_with_a_reason(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path)
    (folder / "model.onnx").write_bytes(b"garbage")
    with pytest.raises(Failed, match=r"model\.onnx") as failed:
        run("speed", {"folder": str(folder), "threads": 1, "task": "text-generation"})
    assert str(tmp_path) not in str(failed.value)


def test_label_says_processor_threads_and_runtime_and_not_whose_machine() -> None:
    label = machine.label()
    count = machine.threads()
    assert label.endswith(f", {count} thread{'' if count == 1 else 's'}, onnxruntime {version('onnxruntime')}")
    assert platform.node() not in label
    assert 1 <= count <= 4
