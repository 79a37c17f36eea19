"""`optimize`: onnxruntime's own graph optimization, saved instead of repeated at every start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compiler.artifact.steps.step import Bench, Effect

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True)
class Configuration:
    level: Literal["basic", "extended"] = "extended"
    transformer: str | None = None


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Optimize at level `basic` or `extended`; an effect is any change of the nodes.

    Never `all`: that rewrites the layout for the processor it runs on.
    """
    from compiler.artifact import graphs, runtime

    saved = bench.scratch / "optimized.onnx"
    options = runtime.options(configuration.level, threads=1)
    options.optimized_model_filepath = str(saved)
    if graphs.is_large(source) or graphs.has_external_data(source):
        # Otherwise the saved graph would still name the source's data file, in a folder where there is none.
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", f"{saved.name}.data"
        )
    runtime.open_session(source, options)
    optimized = graphs.load(saved)
    changed = graphs.operators(optimized) != graphs.operators(graphs.load(source, weights=False))
    graphs.save(optimized, target)
    return Effect(changed)
