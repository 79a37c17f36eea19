"""`ort-format`: onnxruntime's own format, for devices whose onnxruntime is built for these operators alone.

Size: as the ONNX file. Speed: no graph is optimized when the model is loaded, so it starts sooner; it runs the same.
What it is for: onnxruntime built with `--minimal_build` and `--include_ops_by_config required_operators.config`, which
lies beside the graph, is a fraction of the full library and reads nothing but this format. Quality: unchanged.
onnxruntime-genai 0.18 loads it, on a full build.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from compiler.artifact.configuration import CONFIG
from compiler.artifact.steps.step import Bench, Effect, Refused, Remark
from compiler.base import files

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".ort"

OPERATORS = "required_operators.config"


@dataclass(frozen=True, slots=True)
class Configuration:
    pass


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Optimize at level `extended` and save: a runtime that loads the result does not optimize any more.

    The operator list names kernels by domain and version, not the types that they are used with. Raises Refused for
    more than 2 GiB of weights, which the format cannot hold.
    """
    from compiler.artifact.graph import graphs, operators, ort_file
    from compiler.artifact.inference import runtime

    model = graphs.load(source, weights=False)
    size = graphs.weight_bytes(model)
    if size > ort_file.LARGEST:
        raise Refused(f"the graph has {size / 2**30:.1f} GiB of weights; onnxruntime's own format ends at 2 GiB.")
    if (node := operators.for_one_processor(model)) is not None:
        raise Refused(f"node {operators.named(node)} is an operator for the processor that optimized the graph.")
    written, settled = bench.scratch / "written.ort", bench.scratch / "settled.ort"
    runtime.save_optimized(source, written, "extended", ort=True)
    ort_file.settle(written, settled)
    written.unlink()
    files.move(settled, target)
    files.write(target.with_name(OPERATORS), ort_file.required_operators(target).encode())
    _name_graph(source, target, bench.model)
    half = operators.half_node(model)
    return Effect(True, () if half is None else (_casts(half),), {"operators": ort_file.operators(target)})


def _name_graph(source: Path, target: Path, folder: Path) -> None:
    """Have the artifact's `genai_config.json`, when the model has one, name the new file."""
    config = next((path for path in (source.parent / CONFIG, folder / CONFIG) if path.is_file()), None)
    if config is None:
        return
    said = json.loads(config.read_bytes())
    decoder = said["model"]["decoder"]
    name = PurePosixPath(decoder.get("filename", source.name))
    decoder["filename"] = name.with_name(target.name).as_posix()
    files.write(target.with_name(CONFIG), (json.dumps(said, indent=4, ensure_ascii=False) + "\n").encode())


def _casts(node: object) -> Remark:
    from compiler.artifact.graph import operators

    return Remark(
        f"node {operators.named(node)} computes on 16-bit floats. Where the processor of the build has no kernel for "
        "that, onnxruntime wrote casts to float32 into the file, which processors that have one run too."
    )
