"""The committed model and evaluation data: what holds on any version of CPython, and without torch."""

import json
import platform
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from training.corpus import identity, paragraphs, read
from training.measure import logits, open_session

HELLO = Path(__file__).parents[2] / "blueprints" / "hello"
MODEL = HELLO / "models" / "pydoc-1.0"
HELD_OUT = HELLO / "data" / "heldout.jsonl"
LARGEST = 12_000_000
MACHINE = re.compile(r"/(tmp|root|home|usr|work)\b|\bfile:")


@pytest.fixture(scope="module")
def graph() -> onnx.GraphProto:
    return onnx.load(MODEL / "model.onnx").graph


def test_the_folder_holds_what_genai_loads_and_a_readme() -> None:
    names = {path.name for path in MODEL.iterdir()}
    loaded = {"genai_config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"}
    assert names == loaded | {"LICENSE", "README.md"}
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= LARGEST


def test_weights_are_inside_and_nothing_tells_where_it_was_made(graph: onnx.GraphProto) -> None:
    model = onnx.load(MODEL / "model.onnx", load_external_data=False)
    assert not [one.name for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    assert not model.metadata_props
    del model.graph.initializer[:]
    assert not MACHINE.search(str(model))
    for name in ("genai_config.json", "tokenizer_config.json", "README.md"):
        assert not MACHINE.search((MODEL / name).read_text(encoding="utf-8")), name


def test_the_graph_tells_the_size_of_its_cache_and_scores_every_position(graph: onnx.GraphProto) -> None:
    config = json.loads((MODEL / "genai_config.json").read_text())["model"]
    decoder = config["decoder"]
    shapes = {
        value.name: tuple(one.dim_value or one.dim_param for one in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.output)
    }
    expected = {
        "input_ids": ("batch_size", "sequence_length"),
        "attention_mask": ("batch_size", "total_sequence_length"),
        "logits": ("batch_size", "sequence_length", config["vocab_size"]),
    }
    heads, size = decoder["num_key_value_heads"], decoder["head_size"]
    for layer in range(decoder["num_hidden_layers"]):
        for kind in ("key", "value"):
            expected[f"past_key_values.{layer}.{kind}"] = ("batch_size", heads, "past_sequence_length", size)
            expected[f"present.{layer}.{kind}"] = ("batch_size", heads, "total_sequence_length", size)
    assert shapes == expected


def test_the_cache_gives_what_one_pass_gives() -> None:
    session = open_session(MODEL / "model.onnx")
    ids = [0, *range(40, 76)]
    whole, _ = logits(session, ids)
    first, cache = logits(session, ids[:20])
    steps = [first]
    for token in ids[20:]:
        scores, cache = logits(session, [token], cache)
        steps.append(scores)
    np.testing.assert_allclose(np.concatenate(steps), whole, rtol=0, atol=1e-4)


def test_held_out_data_is_json_lines_without_repeats() -> None:
    data = HELD_OUT.read_bytes()
    assert data.endswith(b"\n")
    assert b"\r" not in data
    lines = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    assert lines
    assert {tuple(line) for line in lines} == {("text",)}
    seen = [identity(paragraph) for line in lines for paragraph in paragraphs(line["text"])]
    assert len(seen) == len(set(seen))


def test_held_out_data_is_what_the_same_cpython_gives() -> None:
    version = re.search(r"CPython\s([\d.]+\d)", (MODEL / "README.md").read_text(encoding="utf-8"))
    assert version
    if version[1] != platform.python_version():
        pytest.skip(f"made with CPython {version[1]}, whose text is another one")
    lines = HELD_OUT.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == list(read().held_out)


def test_the_readme_says_that_the_model_beats_bigrams() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([\d.]+) \| ([\d.]+) \|$", (MODEL / "README.md").read_text(encoding="utf-8"), re.M)
    (perplexity, bits), (bigram_perplexity, bigram_bits) = [tuple(map(float, row)) for row in rows]
    assert perplexity < 0.7 * bigram_perplexity
    assert bits < bigram_bits - 0.1


@pytest.mark.slow
def test_genai_generates_from_the_folder() -> None:
    from training.sample import generate

    prompt = 'The "with" statement'
    text = generate(MODEL, prompt, tokens=16)
    assert text.startswith(prompt)
    assert len(text) > len(prompt) + 16
    assert generate(MODEL, prompt, tokens=16) == text
