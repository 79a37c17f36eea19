"""Real conversions: every converter is installed, makes the same files twice, and its runtime gives the same values.

`pytest -m converters`: about 5 GB of packages in a temporary folder, and some minutes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.artifact.converters import environment
from compiler.artifact.converters.call import call
from compiler.artifact.converters.vectors import embeddings
from compiler.artifact.evaluation.golden import derive
from compiler.artifact.evaluation.request import Request
from compiler.artifact.inference.decoder import Decoder
from compiler.artifact.inference.encoder import Encoder
from compiler.artifact.steps.apply import apply_step
from tests.artifact import by_hand, checkpoints, tiny
from tests.minilm import minilm

pytestmark = [pytest.mark.slow, pytest.mark.converters]

TEXTS = ["The pump stopped.", "Press the green button and wait for ten minutes.", "x"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of environments: what SLMC_TEST_CONVERTERS names, or a new one that goes afterwards."""
    if kept := os.environ.get("SLMC_TEST_CONVERTERS"):
        yield Path(kept)
        return
    folder = tmp_path_factory.mktemp("converters")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.bert(tmp_path_factory.mktemp("encoder") / "model")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.llama(tmp_path_factory.mktemp("decoder") / "model")


def convert(root: Path, name: str, model: Path, work: Path, **parameters: Any) -> dict[str, Any]:
    """Apply the step; the artifact's files come into the new folder `work/made`."""
    converter = name.partition("/")[2]
    environment.install(root, converter, lambda line: None)
    for folder in (work / "made", work / "scratch"):
        folder.mkdir(parents=True)
    bench = {"model": str(model), "scratch": str(work / "scratch"), "threads": 2, "files": {}, "converters": str(root)}
    made = apply_step(
        name, {"format": converter, **parameters}, str(model / "model.onnx"), str(work / "made"), bench, lambda s: None
    )
    assert "refused" not in made, made
    return made


def twice(root: Path, name: str, model: Path, work: Path, **parameters: Any) -> dict[str, Any]:
    """Convert in two places, and compare what was made."""
    first = convert(root, name, model, work / "a", **parameters)
    shutil.copytree(model, work / "elsewhere" / "copy", copy_function=shutil.copyfile)
    second = convert(root, name, work / "elsewhere" / "copy", work / "b" / "deeper", **parameters)
    one, other = (_bytes(folder / "made") for folder in (work / "a", work / "b" / "deeper"))
    assert one == other
    assert not any(str(work).encode() in data for data in one.values())
    assert first == second
    return first


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "precision", "least"),
    [("litert", "fp32", 0.999), ("litert", "int8", 0.99), ("executorch", "fp32", 0.999), ("executorch", "int8", 0.99)],
)
def test_an_encoder_of_pytorch_weights(
    root: Path, encoder: Path, tmp_path: Path, name: str, precision: str, least: float
) -> None:
    made = twice(root, f"convert/{name}", encoder, tmp_path, precision=precision, sequenceLength=48)
    assert made["graph"] == {"litert": "model.tflite", "executorch": "model.pte"}[name]
    assert made["report"]["texts"] == 6
    assert made["report"]["cosineMean"] >= least
    artifact = tmp_path / "a" / "made" / made["graph"]
    (tmp_path / "run").mkdir()
    found = list(embeddings(root, artifact, encoder, TEXTS, tmp_path / "run"))
    wanted = [by_hand.bert(encoder, text) for text in TEXTS]
    assert [float(one @ other) >= least for one, other in zip(wanted, found, strict=True)] == [True] * len(TEXTS)


@pytest.mark.parametrize(
    ("name", "precision", "least"),
    [("litert", "fp32", True), ("litert", "int8", False), ("executorch", "int8", True)],
)
def test_golden_answers_allow_for_a_runtime_s_other_kernels(
    root: Path, encoder: Path, tmp_path: Path, name: str, precision: str, least: bool
) -> None:
    """XNNPACK's kernels and LiteRT's own round what 8-bit weights multiply differently."""
    made = convert(root, f"convert/{name}", encoder, tmp_path, precision=precision, sequenceLength=48)
    shutil.copytree(encoder, tmp_path / "artifact", copy_function=shutil.copyfile)
    shutil.copyfile(tmp_path / "made" / made["graph"], tmp_path / "artifact" / made["graph"])
    data = tiny.write_texts(tmp_path / "texts.jsonl", TEXTS)
    found = derive("embeddings", tmp_path / "artifact", Request(encoder, (), data, 10**6, 1, root))
    assert found is not None
    assert (found["tolerance"] == 0.005, 0.005 <= found["tolerance"] <= 0.05) == (least, True)


@pytest.mark.parametrize(("name", "precision"), [("litert", "int4"), ("litert", "fp16"), ("executorch", "int4")])
def test_lower_precision_takes_less(root: Path, encoder: Path, tmp_path: Path, name: str, precision: str) -> None:
    whole = convert(root, f"convert/{name}", encoder, tmp_path / "a", sequenceLength=32)
    low = convert(root, f"convert/{name}", encoder, tmp_path / "b", precision=precision, sequenceLength=32)
    assert low["weight_bytes"] < 0.9 * whole["weight_bytes"]
    said = [["STEP_PARTIAL", "embeddings"]] if name == "executorch" else []
    assert [[code, text.split()[3]] for code, text in low["remarks"]] == said


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int4"])
def test_openvino_from_a_graph(root: Path, tmp_path: Path, precision: str) -> None:
    model = _graph_encoder(tmp_path / "m")
    made = twice(root, "convert/openvino", model, tmp_path, precision=precision)
    assert sorted(path.name for path in (tmp_path / "a" / "made").iterdir()) == ["model.bin", "model.xml"]
    (tmp_path / "run").mkdir()
    found = list(embeddings(root, tmp_path / "a" / "made" / made["graph"], model, TEXTS, tmp_path / "run"))
    wanted = Encoder(model, 1).embeddings(TEXTS)
    assert min(float(one @ other) for one, other in zip(wanted, found, strict=True)) > 0.98


def test_openvino_runs_a_graph_with_a_cache(root: Path, tmp_path: Path) -> None:
    made = convert(root, "convert/openvino", tiny.write(tmp_path / "m"), tmp_path)
    assert made["report"]["cosineMin"] > 0.9999


def test_openvino_refuses_what_it_would_not_read_back(root: Path, repository: Path, tmp_path: Path) -> None:
    model = repository / "blueprints" / "hello" / "models" / "pydoc-1.0"
    with pytest.raises(AssertionError, match="is a `GroupQueryAttention`, which OpenVINO"):
        convert(root, "convert/openvino", model, tmp_path)


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("fp16", 0.9999), ("int4", 0.9)])
def test_genai_builds_what_onnxruntime_runs(
    root: Path, decoder: Path, tmp_path: Path, precision: str, least: float
) -> None:
    made = twice(root, "package/genai", decoder, tmp_path, precision=precision, blockSize=16)
    folder = tmp_path / "a" / "made"
    assert made["report"]["cosineMin"] >= least
    assert {"genai_config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"} <= _bytes(folder).keys()
    assert "messages[0].content" in "".join(data.decode(errors="replace") for data in _bytes(folder).values())
    runs = Decoder(folder, threads=1)
    _, cache = runs([0, 5], 0, runs.empty_cache())
    assert runs([6], 2, cache)[0][0] == pytest.approx(runs([0, 5, 6], 0, runs.empty_cache())[0][-1], abs=0.05)


_CALIBRATE = {"calibrate": {"samples": 8}}


@pytest.mark.parametrize(
    "steps",
    [
        [("quantize/int4", {"scheme": "int4", "method": "gptq", "blockSize": 16, **_CALIBRATE})],
        [
            ("quantize/fp16", {"scheme": "fp16"}),
            ("quantize/int4", {"scheme": "int4", "method": "gptq", "blockSize": 16, **_CALIBRATE}),
        ],
        [("quantize/int8-static", {"scheme": "int8-static", **_CALIBRATE})],
        [("quantize/mixed", {"scheme": "mixed", "target": {"klDivergence": 0.1}, "blockSize": 16, **_CALIBRATE})],
        [
            ("prune/heads", {"method": "heads", "share": 0.5}),
            ("quantize/int4", {"scheme": "int4", "method": "gptq", "blockSize": 16, **_CALIBRATE}),
        ],
    ],
    ids=["gptq", "fp16-gptq", "int8-static", "mixed", "heads-gptq"],
)
def test_what_genai_builds_is_quantized_on_texts(
    root: Path, decoder: Path, tmp_path: Path, steps: list[tuple[str, dict[str, Any]]]
) -> None:
    texts = tiny.write_texts(tmp_path / "texts.jsonl", [f"{text} {number}" for number in range(3) for text in TEXTS])
    convert(root, "package/genai", decoder, tmp_path)
    graph = tmp_path / "made" / "model.onnx"
    for number, (name, parameters) in enumerate(steps, 1):
        target, scratch = tmp_path / f"made-{number}", tmp_path / f"scratch-{number}"
        target.mkdir()
        scratch.mkdir()
        bench = {"model": str(decoder), "scratch": str(scratch), "threads": 2, "before": number}
        bench |= {"files": {"calibrate.data": str(texts)}}
        made = apply_step(name, parameters, str(graph), str(target), bench, lambda share: None)
        assert made.get("reason") is None
        graph = target / made["graph"]
    runs = Decoder(graph.parent, threads=1)
    assert runs([0, 5, 6], 0, runs.empty_cache())[0].shape == (3, checkpoints.VOCABULARY)


def test_genai_s_block_size_is_heard(root: Path, decoder: Path, tmp_path: Path) -> None:
    sizes = [
        convert(root, "package/genai", decoder, tmp_path / str(size), precision="int4", blockSize=size)["weight_bytes"]
        for size in (16, 64)
    ]
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int4"])
def test_gguf_gives_what_genai_gives(root: Path, decoder: Path, tmp_path: Path, precision: str) -> None:
    """The tensors of the file, multiplied as llama.cpp does (halves of rotary positions interleaved)."""
    made = twice(root, "convert/gguf", decoder, tmp_path, precision=precision)
    assert "llama.cpp was not run" in made["report"]["runtime"]
    convert(root, "package/genai", decoder, tmp_path / "genai")
    runs = Decoder(tmp_path / "genai" / "made", threads=1)
    ids = [0, 9, 44, 7, 120, 3]
    wanted = runs(ids, 0, runs.empty_cache())[0][-1]
    found = by_hand.llama(_dumped(root, tmp_path / "a" / "made" / "model.gguf", tmp_path / "dump"), ids)
    cosine = float(wanted @ found / np.linalg.norm(wanted) / np.linalg.norm(found))
    assert cosine > {"fp32": 0.999999, "fp16": 0.99999, "int8": 0.999, "int4": 0.9}[precision]


def test_a_tied_llama_has_no_output(root: Path, tmp_path: Path) -> None:
    model = checkpoints.llama(tmp_path / "m", tie_word_embeddings=True)
    assert convert(root, "convert/gguf", model, tmp_path)["report"]["tensors"] == 3 + 9 * checkpoints.LAYERS - 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "scales rotary positions by `yarn`"),
        ({"num_hidden_layers": 1}, "nothing is known of tensor `model.layers.1."),
    ],
)
def test_gguf_refuses_what_it_would_get_wrong(root: Path, tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        convert(root, "convert/gguf", checkpoints.llama(tmp_path / "m", **changed), tmp_path)


def test_gguf_refuses_a_tokenizer_that_llama_cpp_would_read_otherwise(root: Path, tmp_path: Path) -> None:
    model = checkpoints.llama(tmp_path / "m")
    tokenizer = json.loads((model / "tokenizer.json").read_bytes())
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(AssertionError, match="no byte-level BPE"):
        convert(root, "convert/gguf", model, tmp_path)


@pytest.mark.parametrize("name", ["litert", "executorch"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999), ("int8", 0.99)])
def test_all_minilm_l6_v2(root: Path, tmp_path: Path, name: str, precision: str, least: float) -> None:
    made = convert(root, f"convert/{name}", minilm(), tmp_path, precision=precision)
    assert made["report"]["cosineMean"] >= least


def _graph_encoder(folder: Path) -> Path:
    """A vector for each token: its embedding, through one matrix."""
    folder.mkdir()
    checkpoints.byte_level(folder)
    draw = np.random.default_rng(5).standard_normal
    weights = [draw((512, 128)), draw((128, 64))]
    made = [numpy_helper.from_array(w.astype(np.float32), n) for w, n in zip(weights, ("E", "W"), strict=True)]
    nodes = [
        helper.make_node("Gather", ["E", "input_ids"], ["e"], name="lookup"),
        helper.make_node("MatMul", ["e", "W"], ["last_hidden_state"], name="dense"),
    ]
    shape = ["batch", "sequence"]
    given = helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)
    gives = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, 64])
    graph = helper.make_graph(nodes, "encoder", [given], [gives], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    return folder


_DUMP = """
import json, sys, gguf, numpy
from gguf.quants import dequantize
request = json.load(sys.stdin)
reader = gguf.GGUFReader(request["file"])
found = {t.name: dequantize(t.data, t.tensor_type).reshape([int(n) for n in t.shape[::-1]]) for t in reader.tensors}
numpy.savez(request["to"], **found)
print(json.dumps({"result": None}))
"""


def _dumped(root: Path, file: Path, scratch: Path) -> dict[str, Any]:
    """The tensors of a GGUF file as its own reader gives them."""
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("compiler.artifact.converters.call._BOOT", _DUMP)
        to = scratch / "tensors.npz"
        call(root, "gguf", "dump", {"file": str(file), "to": str(to)}, scratch, lambda share: None)
    with np.load(to) as found:
        return dict(found)
