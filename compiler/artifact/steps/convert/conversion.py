"""What the conversions have in common: which source they may start from, and the call of their converter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compiler.artifact.converters import environment
from compiler.artifact.converters.call import Failed, Missing, call
from compiler.artifact.steps.step import Bench, Refused

Precision = Literal["fp32", "fp16", "int8", "int4"]


@dataclass(frozen=True, slots=True)
class Configuration:
    format: str
    precision: Precision = "fp32"
    sequence_length: int = 128


def version(converter: str, step: int) -> str:
    """Of a step: its own, and the digest of the packages that do its work."""
    return f"{step}+{environment.digest(converter)}"


def from_pytorch(format: str, bench: Bench) -> None:
    """Raise Refused unless nothing was done to the model yet: what earlier steps made is not what is converted."""
    if bench.before:
        raise Refused(
            f"`{format}` starts from the PyTorch weights of the model's folder, so what the {bench.before} "
            f"step{'s' if bench.before > 1 else ''} before it did would be lost: it has to be the first step."
        )


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
    from_pytorch(configuration.format, bench)
    request = {
        "model": str(bench.model),
        "target": str(target),
        "scratch": str(bench.scratch),
        "precision": configuration.precision,
        "length": configuration.sequence_length,
    }
    report: Mapping[str, Any] = ask(converter, "convert", request, bench)
    return {"precision": configuration.precision, **report}
