"""`merge-adapter`: a LoRA adapter as PEFT saves it, added to the weights: W + (alpha / r) · B · A.

Size, speed, memory: as without the adapter, on every processor. Quality: the fine-tuned model's. It comes before
every step that prunes or quantizes: those look at the weights as they are. Hu et al. 2021, "LoRA: Low-Rank Adaptation
of Large Language Models".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compiler.artifact.steps.step import Bench, Effect

VERSION = 1
REPRODUCIBLE = True
SUFFIX = ".onnx"
STREAMS = True


@dataclass(frozen=True, slots=True)
class Configuration:
    adapter: str


def apply(source: Path, target: Path, configuration: Configuration, bench: Bench) -> Effect:
    """Add every matrix of the adapter to the weights of its module. Each must find its weights, or nothing is made."""
    from compiler.artifact.steps.lora.adapter import Adapter
    from compiler.artifact.steps.lora.merge import merge

    with Adapter(bench.files["adapter"]) as adapter:
        return merge(source, target, adapter, bench)
