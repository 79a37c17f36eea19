"""The contract of a recipe step: what a module of this package gets, gives and refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from compiler.artifact.refused import Refused as Refused


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that the step did not do, or did otherwise than its reader would think; a warning.

    `code` is the name of a Code that is a warning, the message a sentence.
    """

    message: str
    code: str = "STEP_PARTIAL"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step did. `report` holds plain JSON values for people: figures per tensor, what was fused."""

    changed: bool
    remarks: tuple[Remark, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, int] = field(default_factory=dict)
    """Fields of the model's Shape that are no longer what they were: heads that went took their cache along."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a step works with beside its input."""

    model: Path
    """The folder of the model as it came: tokenizer, configuration, PyTorch weights."""
    scratch: Path
    """An empty folder for unfinished work, on the file system of the target."""
    threads: int
    tell: Callable[[float], None]
    """Gets the share of the work that is done, between 0 and 1."""
    files: Mapping[str, Path]
    """Files and folders of the workspace that the configuration names, by its keys: `calibrate.data`."""
    before: int = 0
    """How many steps of the recipe came before this one."""
    converters: Path | None = None
    """The folder of the environments of converters."""


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them."""
    return ", ".join(f"`{name}`" for name in names)


class Step(Protocol):
    """A module of this package.

    It may also say `STREAMS = True` (its memory grows with the largest tensor, not with the model) and
    `THREADED = True` (it keeps `bench.threads` processors busy): what runs beside it is chosen by that.
    """

    @property
    def VERSION(self) -> int | str:
        """Another one whenever the step's output changes: it is part of the artifact's key."""

    REPRODUCIBLE: Any
    """Whether the same input gives the same bytes on every machine: a bool, or a function of the configuration."""

    SUFFIX: str
    """Of the file that it makes: `.onnx`, `.ort`, `.tflite`."""

    Configuration: Any
    """A frozen dataclass, whose fields are the step's parameters in snake_case."""

    def apply(self, source: Path, target: Path, configuration: Any, bench: Bench) -> Effect:
        """Make the file `target` from the file `source`, whose external data lies beside it.

        Whatever else it writes into the target's folder belongs to the artifact, under its path there. Raises Refused
        when the model does not suit the step, and any other exception when it fails.
        """
