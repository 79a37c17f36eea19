"""`convert` to `openvino`: an .xml file with its weights (.bin) beside it, from an ONNX graph.

For Intel's CPUs, GPUs and NPUs. fp16 halves the weights; int8 and int4 (blocks of 32, embeddings and output in 8 bits)
compress them by NNCF and leave activations as they are. On all-MiniLM-L6-v2 with one x86 core: int8 a quarter of the
size, mean cosine 0.999, twice as fast; int4 a fifth, 0.97. Steps before it keep what they did, unless they left
operators that OpenVINO does not know: onnxruntime's own, such as MatMulNBits and GroupQueryAttention.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compiler.artifact.steps.convert import conversion
from compiler.artifact.steps.convert.conversion import Configuration
from compiler.artifact.steps.step import Bench, Effect

VERSION = conversion.version("openvino", 1)
REPRODUCIBLE = True
SUFFIX = ".xml"
__all__ = ["REPRODUCIBLE", "SUFFIX", "VERSION", "Configuration", "apply"]


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Convert, and compare the first output with what onnxruntime gives for a few texts."""
    from compiler.artifact.graph import graphs

    expected = bench.scratch / "expected.npz"
    _expect(source, bench.model, expected)
    report = conversion.ask(
        "openvino",
        "convert",
        {
            "source": str(source.absolute()),
            "target": str(target.absolute()),
            "precision": configuration.precision,
            "expected": str(expected.absolute()),
            "weight_bytes": graphs.weight_bytes(graphs.load(source, weights=False)),
        },
        bench,
    )
    return Effect(True, report={"precision": configuration.precision, **report})


def _expect(source: Path, model: Path, expected: Path) -> None:
    """Write what goes in and comes out for each text."""
    import numpy as np

    from compiler.artifact.configuration import CONFIG, TOKENIZER, folder_with, text_length
    from compiler.artifact.converters.scripts.verify import TEXTS
    from compiler.artifact.inference import runtime
    from compiler.artifact.inference.feeds import feeds

    session = runtime.open_session(source, runtime.options("basic", threads=1))
    cases: dict[str, Any] = {}
    longest = min(128, text_length(model))
    tokenizer, folder = folder_with(TOKENIZER, source, model) / TOKENIZER, folder_with(CONFIG, source, model)
    for number, feed in enumerate(feeds(tokenizer, folder, session.get_inputs(), TEXTS, longest)):
        cases |= {f"{number}/in/{name}": value for name, value in feed.items()}
        cases[f"{number}/out"] = session.run(None, dict(feed))[0]
    np.savez(expected, **cases)
