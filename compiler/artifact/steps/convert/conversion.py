"""What the conversions have in common: which source they may start from, and the call of their converter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compiler.artifact.converters import environment
from compiler.artifact.converters.call import Failed, Missing, call
from compiler.artifact.steps.step import Bench, Refused

ENCODERS = ("Model", "ForMaskedLM", "ForPreTraining")
"""Ends of the names of architectures whose body gives a vector for each token."""

Precision = Literal["fp32", "fp16", "int8", "int4"]


@dataclass(frozen=True, slots=True)
class Configuration:
    format: str
    precision: Precision = "fp32"
    sequence_length: int = 128


def version(converter: str, step: int) -> str:
    """Of a step: its own, and the digest of the packages that do its work."""
    return f"{step}+{environment.digest(converter)}"


def pytorch_weights(format: str, kinds: tuple[str, ...], bench: Bench) -> Mapping[str, Any]:
    """The configuration of the model's folder, whose architecture's name has to end in one of `kinds`.

    Raises Refused when the folder is not as Hugging Face lays it out, and when steps were applied already: what they
    made is not what is converted.
    """
    if bench.before:
        raise Refused(
            f"`{format}` starts from the PyTorch weights of the model's folder, so what the steps before it did would "
            "be lost: it has to be the first step."
        )
    try:
        config = json.loads((bench.model / "config.json").read_bytes())
        named = str(config["architectures"][0])
    except (OSError, ValueError, LookupError, TypeError):
        config, named = None, ""
    if config is None or not [*bench.model.glob("*.safetensors")] or not (bench.model / "tokenizer.json").is_file():
        raise Refused(
            f"`{format}` starts from PyTorch weights: `source` has to be a folder with `config.json`, "
            "`model.safetensors` and `tokenizer.json`, as Hugging Face lays it out."
        )
    if not named.endswith(kinds):
        raise Refused(f"`config.json` names the architecture `{named}`; `{format}` is made of {', '.join(kinds)} here.")
    return dict(config)


def check_length(config: Mapping[str, Any], length: int) -> None:
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and length > longest:
        raise Refused(f"`sequenceLength: {length}` is more than the {longest} tokens that the model was made for.")


def ask(converter: str, task: str, request: Mapping[str, Any], bench: Bench) -> Any:
    """What the converter gives. Raises Refused when it is not installed or the model does not suit it."""
    if bench.converters is None:
        raise Refused(f"there is no folder for the environment of converter `{converter}`.", "CONVERTER_MISSING")
    try:
        return call(bench.converters, converter, task, request, bench.scratch, bench.tell)
    except Missing:
        raise Refused(f"the environment of converter `{converter}` is not installed.", "CONVERTER_MISSING") from None
    except Failed as error:
        if error.refused:
            raise Refused(str(error)) from None
        raise


def to_file(converter: str, target: Path, configuration: Configuration, bench: Bench) -> Mapping[str, Any]:
    """Make the file `target` from the model's folder, and give what the converter reports."""
    request = {
        "model": str(bench.model.absolute()),
        "target": str(target.absolute()),
        "scratch": str(bench.scratch.absolute()),
        "precision": configuration.precision,
        "length": configuration.sequence_length,
    }
    report: Mapping[str, Any] = ask(converter, "convert", request, bench)
    return {"precision": configuration.precision, **report}
