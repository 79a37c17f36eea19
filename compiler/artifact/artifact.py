"""An artifact and the facts that are bound to its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SOURCE = "source"
"""As a baseline: the model as it came."""


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
class Figure:
    """A measured value with its 95 % confidence interval; a bound is None where the sample is too small to tell."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Measured on the model's evaluation data; rounded as `metrics.METRICS` says, so that it is the same everywhere.

    samples: by unit (tokens predicted, texts, prompts) how many there were. figures: by metric; one that could not be
    measured is absent. baseline: what the metrics of comparison compare with, `source` or the digest of the artifact
    that was deployed before.
    """

    samples: Mapping[str, int]
    figures: Mapping[str, Figure]
    baseline: str = SOURCE

    @property
    def loss(self) -> float | None:
        """What it lost against the baseline, in one number: KL divergence, or what a cosine or an agreement lacks of 1.
        None when none of them could be measured."""
        if divergence := self.figures.get("klDivergence"):
            return divergence.value
        likeness = self.figures.get("cosineMean") or self.figures.get("labelAgreement")
        return 1 - likeness.value if likeness else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an artifact gives for one input.

    text-generation: `output` is the greedy continuation and `tokens` its ids, cut before the first that is nearly a
    tie; `candidates` are the ids of the most likely first tokens, `values` their log-probabilities in nats.
    text-classification: `output` is the label; `candidates` are the most likely labels by number, `values` as before.
    embeddings: `values` are the first components of the unit vector.
    """

    input: str
    output: str = ""
    tokens: tuple[int, ...] = ()
    candidates: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Golden:
    """A few inputs with their outputs. A device whose own differ by more than `tolerance` does not run this artifact.

    `tolerance` is absolute and holds for every number in `values` and `cosines`; the latter, of embeddings, are those
    of all pairs of answers: 1–2, 1–3, …, 2–3, ….
    """

    task: str
    tolerance: float
    answers: tuple[Answer, ...]
    cosines: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Speed:
    """Measured on the build machine; never in the lock or a bundle."""

    tokens_per_second: float | None
    """None of a model that generates no text."""
    peak_memory: int
    """Bytes, of a process that loads the model and runs it."""
    host: str
    """What it was measured on: processor, threads, onnxruntime version. No host name."""
    latency: float | None = None
    """Milliseconds for one text of 128 tokens, or as many as the model takes."""


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
    golden: Golden | None = None
    """None when the evaluation data has no text that is fit for one."""
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
class Refusal:
    """In the place of an artifact: a step (from 0) that does not apply to the model, on any machine.

    `key` is that of the artifact: it is so while nothing that shapes the artifact's bytes changes. `parameter` is the
    path of the one that is to blame, if it is one.
    """

    key: str
    step: int
    reason: str
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Original:
    """The unoptimized model, measured the same way: what `before` means in a report.

    `size` counts the files that an artifact would have: READMEs stay behind.
    """

    model: str
    size: int
    shape: Shape
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By metric, of those that are not comparisons."""
    speed: Speed | None = None


@dataclass(frozen=True, slots=True)
class Artifacts:
    """By artifact name and by model id. `refused`, by artifact name, are those that there are not."""

    artifacts: Mapping[str, Artifact]
    originals: Mapping[str, Original]
    refused: Mapping[str, Refusal] = field(default_factory=dict)


NOTHING = Artifacts({}, {})
