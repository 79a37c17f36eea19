"""Weights read and written in pieces: of any size, by any number of threads, and nothing half."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.graph import graphs, skeleton
from compiler.artifact.graph.threads import Job, spread
from compiler.artifact.graph.weights import Source, Target
from compiler.artifact.refused import Refused
from compiler.artifact.store import cache
from compiler.artifact.store.store import Store
from tests.artifact import tiny

GIB = 2**30
_STEP = """
import sys, time
from pathlib import Path
from compiler.artifact.process import run
from compiler.artifact.store.store import Store

model, root = sys.argv[1:]

def wait(event):
    print("working", flush=True)
    time.sleep(600)

with Store(Path(root)).scratch() as scratch:
    (scratch / "made").mkdir()
    bench = {"model": str(Path(model).parent), "scratch": str(scratch), "threads": 2, "files": {}}
    run("step", {"name": "quantize/int4", "parameters": {"scheme": "int4"}, "source": model,
                 "target": str(scratch / "made"), "bench": bench}, wait)
"""


def model_with(*tensors: Any) -> Any:
    """A graph whose output is each tensor in turn."""
    nodes = [helper.make_node("Identity", [tensor.name], [f"out_{tensor.name}"]) for tensor in tensors]
    outputs = [
        helper.make_tensor_value_info(n.output[0], t.data_type, list(t.dims))
        for n, t in zip(nodes, tensors, strict=True)
    ]
    graph = helper.make_graph(nodes, "g", [], outputs, list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def arrays() -> dict[str, Any]:
    draw = np.random.default_rng(3)
    return {
        "large": draw.standard_normal((300, 70)).astype(np.float32),
        "half": draw.standard_normal((64, 33)).astype(np.float16),
        "small": np.arange(5),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
    }


@pytest.mark.parametrize("external", [False, True], ids=["in the graph", "outside"])
def test_reads_what_onnx_reads(tmp_path: Path, external: bool) -> None:
    path = tmp_path / "model.onnx"
    made = model_with(*(numpy_helper.from_array(array, name) for name, array in arrays().items()))
    onnx.save(made, path, save_as_external_data=external, location="data.bin", size_threshold=16)
    with Source(path) as source:
        assert set(source.tensors) == set(arrays())
        for name, array in arrays().items():
            assert np.array_equal(source.array(source.tensors[name]), array)
        assert np.array_equal(source.rows(source.tensors["large"], 17, 290), arrays()["large"][17:290])
        assert b"".join(source.pieces(source.tensors["half"])) == arrays()["half"].tobytes()


def test_reads_values_that_are_not_raw(tmp_path: Path) -> None:
    floats = helper.make_tensor("f", TensorProto.FLOAT, [40, 10], list(range(400)))
    nibbles = helper.make_tensor("n", TensorProto.UINT4, [3, 4], list(range(12)))
    onnx.save(model_with(floats, nibbles), tmp_path / "m.onnx")
    with Source(tmp_path / "m.onnx") as source:
        assert np.array_equal(source.rows(source.tensors["f"], 2, 4).ravel(), np.arange(20, 40))
        assert b"".join(source.pieces(source.tensors["n"])) == bytes([0x10, 0x32, 0x54, 0x76, 0x98, 0xBA])


def test_a_skeleton_is_the_model_but_for_its_weights(repository: Path) -> None:
    path = repository / "blueprints" / "hello" / "models" / "pydoc-1.0" / "model.onnx"
    bare, whole = skeleton.load(path), onnx.load(path)
    assert bare.ByteSize() < path.stat().st_size / 20
    for tensor in bare.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    for model in (bare, whole):
        for tensor in model.graph.initializer:
            tensor.ClearField("data_location")
    assert bare == whole


def test_a_file_that_is_cut_off_is_no_model(tmp_path: Path) -> None:
    whole = tiny.graph(tiny.Weights.random()).SerializeToString()
    for end in range(1, len(whole) - 1, 97):
        (tmp_path / "m.onnx").write_bytes(whole[:end])
        with contextlib.suppress(DecodeError):  # cut between two fields, it is well-formed
            assert skeleton.load(tmp_path / "m.onnx").ByteSize() <= end + 1


def test_external_data_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "secret").write_bytes(bytes(4096))
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1024])
    skeleton.refer(tensor, "../secret", 0, 4096)
    (tmp_path / "m" / "model.onnx").write_bytes(model_with(tensor).SerializeToString())
    with Source(tmp_path / "m" / "model.onnx") as source, pytest.raises(Refused, match=r"`w` lies in `\.\./secret`"):
        source.array(source.tensors["w"])


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def test_one_file_of_three_gib(tmp_path: Path) -> None:
    """Which protobuf does not read. The file is a hole but for its ends, and takes no space."""
    rows, path = 3 * 2**18, tmp_path / "m.onnx"
    size = rows * 1024 * 4
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[rows, 1024]).SerializeToString()
    bare = model_with(TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[1], raw_data=bytes(4)))
    content = tensor + b"\x4a" + varint(size)
    graph = bare.graph.SerializeToString() + b"\x2a" + varint(len(content) + size) + content
    bare.ClearField("graph")
    head = bare.SerializeToString() + b"\x3a" + varint(len(graph) + size) + graph
    last = np.arange(1024, dtype=np.float32)
    with path.open("wb") as file:
        file.write(head)
        file.seek(size - 4096, os.SEEK_CUR)
        file.write(last.tobytes())
    with Source(path) as source:
        assert [list(tensor.dims) for tensor in source.tensors.values()] == [[1], [rows, 1024]]
        assert np.array_equal(source.rows(source.tensors["w"], rows - 2, rows), [np.zeros(1024), last])


def test_weights_of_five_gib_beside_the_graph(tmp_path: Path) -> None:
    """Written at their ends only: the rest are holes."""
    target = Target(tmp_path / "m.onnx")
    one = target.reserve("one", TensorProto.UINT8, [3 * GIB])
    two = target.reserve("two", TensorProto.UINT8, [2 * GIB])
    target.write(one, b"first", 3 * GIB - 5)
    target.write(two, b"second", 2 * GIB - 6)
    target.finish(model_with(one, two))
    assert graphs.data_file(tmp_path / "m.onnx").stat().st_size == 5 * GIB
    with Source(tmp_path / "m.onnx") as source:
        assert bytes(source.rows(source.tensors["one"], 3 * GIB - 5, 3 * GIB)) == b"first"
        assert bytes(source.rows(source.tensors["two"], 2 * GIB - 6, 2 * GIB)) == b"second"


def written(path: Path, order: list[int], monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, bytes]:
    """The files of a model whose tensors were written in pieces, in this order."""
    monkeypatch.setattr(graphs, "LARGEST_SINGLE_FILE", 0)
    path.parent.mkdir()
    target, pieces, reserved = Target(path), [], []
    for name, array in arrays().items():
        tensor = target.reserve(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        reserved.append(tensor)
        data = array.tobytes()
        pieces += [(tensor, data[at : at + 100], at) for at in range(0, len(data), 100)]
    for number in order:
        target.write(*pieces[number % len(pieces)])
    target.finish(model_with(*reserved))
    return path.read_bytes(), graphs.data_file(path).read_bytes()


def test_places_do_not_depend_on_the_order_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = sum(-(-array.nbytes // 100) for array in arrays().values())
    forth = written(tmp_path / "a" / "m.onnx", list(range(count)), monkeypatch)
    assert written(tmp_path / "b" / "m.onnx", list(reversed(range(count))), monkeypatch) == forth
    loaded = onnx.load(tmp_path / "a" / "m.onnx", load_external_data=False)
    places = {
        tensor.name: int(next(entry.value for entry in tensor.external_data if entry.key == "offset"))
        for tensor in loaded.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    assert places == {"large": 0, "half": 86016}, "pages of 4,096 bytes; what is small lies in the graph"
    found = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "a" / "m.onnx").graph.initializer
    }
    assert all(np.array_equal(found[name], array) for name, array in arrays().items())


def test_a_disk_that_is_too_small_is_found_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    target = Target(tmp_path / "m.onnx")
    tensor = target.reserve("w", TensorProto.UINT8, [5000])
    with pytest.raises(Refused, match=r"5,000 bytes.* 1,000 bytes free") as error:
        target.write(tensor, b"x")
    assert error.value.code == "DISK_FULL"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_in_mid_write(tmp_path: Path) -> None:
    graphs.data_file(tmp_path / "m.onnx").symlink_to("/dev/full")
    target = Target(tmp_path / "m.onnx")
    tensor = target.reserve("w", TensorProto.UINT8, [5000])
    with pytest.raises(Refused, match="5,000 bytes") as error:
        target.write(tensor, bytes(100))
    assert error.value.code == "DISK_FULL"


def test_threads_do_every_job_once_and_tell_how_far_they_are() -> None:
    done: list[int] = []
    told: list[float] = []
    spread([Job(number, lambda number=number: done.append(number)) for number in range(50)], 4, told.append)  # type: ignore[misc]
    assert sorted(done) == list(range(50))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_first_failure_is_raised_and_nothing_is_begun_after_it() -> None:
    """Of two jobs that fail at once, always the earlier, though the later one fails sooner."""
    later_failed, begun = threading.Event(), []

    def fail_late() -> None:
        later_failed.wait(10)
        raise ValueError("the earlier")

    def fail_soon() -> None:
        later_failed.set()
        raise ValueError("the later")

    jobs = [Job(1, fail_late), Job(1, fail_soon), *(Job(1, lambda: begun.append(1)) for _ in range(50))]
    with pytest.raises(ValueError, match="the earlier"):
        spread(jobs, 2, lambda share: None)
    assert begun == []


def test_a_kill_in_mid_step_leaves_nothing_in_the_store(tmp_path: Path, repository: Path) -> None:
    draw = np.random.default_rng(1)
    layers = [numpy_helper.from_array(draw.standard_normal((1024, 1024), np.float32), f"w{n}") for n in range(12)]
    nodes = [helper.make_node("MatMul", [f"h{n}", f"w{n}"], [f"h{n + 1}"], name=f"m{n}") for n in range(12)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1024]) for name in ("h0", "h12")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], layers)
    model = tmp_path / "m" / "model.onnx"
    model.parent.mkdir()
    graphs.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), model)
    store = Store(tmp_path / "store")
    command = [sys.executable, "-c", _STEP, str(model), str(store.root)]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout and parent.stdout.readline() == b"working\n"
        child = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            break
        time.sleep(0.1)
    assert store.index() == ([], [])
    assert not store.blobs.folder.exists()
    assert [path for path in store.root.iterdir() if path.name.startswith(".slmc-tmp-")]
    cache.prune(store, None)
    assert sorted(path.name for path in store.root.iterdir()) == ["oci-layout"]
