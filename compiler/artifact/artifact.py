"""An artifact and the facts that are bound to its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class File:
    """A file of an artifact; `name` is relative to the artifact's folder, with `/`."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What the graph itself says, for fit: bytes and counts, read without loading weights."""

    parameters: int
    weight_bytes: int
    kv_bytes_per_token: int
    context_length: int


@dataclass(frozen=True, slots=True)
class Quality:
    """Measured on the model's evaluation data; rounded, so that it is the same everywhere.

    tokens: how many were predicted. perplexity, per token: 3 decimals. perplexity_ratio, to the unoptimized model's:
    4 decimals. kl_divergence, mean KL(unoptimized ‖ artifact) of the next-token distribution in nats: 5 decimals.
    top_one_agreement, share of positions where both find the same token most likely: 4 decimals.
    """

    tokens: int
    perplexity: float
    perplexity_ratio: float
    kl_divergence: float
    top_one_agreement: float

    @property
    def loss(self) -> float:
        """What it lost against the original, in one number: the less the better."""
        return self.kl_divergence


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured on the build machine; never in the lock or a bundle."""

    tokens_per_second: float
    peak_memory: int
    """Bytes, of a process that loads the model and generates."""
    host: str
    """What it was measured on: processor, threads, onnxruntime version. No host name."""


@dataclass(frozen=True, slots=True)
class Artifact:
    name: str
    model: str
    recipe: str
    key: str
    digest: str
    """Digest of the artifact's OCI manifest."""
    files: tuple[File, ...]
    shape: Shape
    quality: Quality
    held_gates: Mapping[str, float] = field(default_factory=dict)
    """Gates on machine-dependent metrics that the build decided: `tokensPerSecond.min` → limit."""
    speed: Speed | None = None
    """None when the artifact came from the lock alone."""
    built: bool = False
    """Whether this run built it, rather than finding it in the store or the lock."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Original:
    """The unoptimized model, measured the same way: what `before` means in a report.

    `size` counts the files that an artifact would have: READMEs stay behind.
    """

    model: str
    size: int
    shape: Shape
    perplexity: float
    speed: Speed | None = None


@dataclass(frozen=True, slots=True)
class Artifacts:
    """By artifact name and by model id."""

    artifacts: Mapping[str, Artifact]
    originals: Mapping[str, Original]
