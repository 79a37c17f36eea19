"""What an artifact is compared with: the model as it came, or the artifact that is deployed."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.artifact.artifact import SOURCE, Artifact, Artifacts, File
from compiler.artifact.configuration import TOKENIZER
from compiler.artifact.evaluation.metrics import TEXT_GENERATION
from compiler.artifact.store.store import Store, Stored
from compiler.base.diagnostics import Diagnostic
from compiler.plan.actions import Action


@dataclass(frozen=True, slots=True)
class Beside:
    """`baseline` as Quality has it. `stored` is None for the model as it came, and for a baseline that is out of reach.

    `kept` is what the lock says of the very same artifact, measured on the same data beside that baseline.
    """

    baseline: str = SOURCE
    stored: Stored | None = None
    kept: Artifact | None = None

    @property
    def unknown(self) -> bool:
        """Whether nothing can be compared."""
        return self.baseline != SOURCE and self.stored is None


def beside(action: Action, found: Stored, last: Artifacts, store: Store) -> tuple[Beside, list[Diagnostic]]:
    """For an artifact that was found or made; `last` is what the lock had before this compile.

    An artifact that is deployed already keeps the baseline that it was compared with before: compiling again changes
    nothing. One that replaces nothing is compared with the model as it came.
    """
    if action.model.baseline == SOURCE:
        return Beside(), []
    earlier = _deployed(action, last)
    if earlier is None:
        return Beside(), []
    same = earlier.name == action.name and earlier.digest == found.digest
    baseline = earlier.quality.baseline if same else earlier.digest
    if baseline == SOURCE:
        return Beside(), []
    measured = same and action.locked is not None and action.locked.evaluation == action.source.evaluation
    stored, diagnostics = store.with_digest(baseline)
    if (
        stored is not None
        and action.model.task == TEXT_GENERATION
        and _tokenizer(stored.files) != _tokenizer(found.files)
    ):
        stored = None  # its distributions are over other tokens
    return Beside(baseline, stored, earlier if measured and stored is None else None), diagnostics


def _deployed(action: Action, last: Artifacts) -> Artifact | None:
    """What the lock has under the name; otherwise what it has alone of this recipe and other versions of the model."""
    if action.name in last.artifacts:
        return last.artifacts[action.name]
    others = [
        artifact
        for artifact in last.artifacts.values()
        if artifact.recipe == action.recipe.name and artifact.model.split("@")[0] == action.model.name
    ]
    return others[0] if len(others) == 1 else None


def _tokenizer(files: tuple[File, ...]) -> str | None:
    return next((file.digest for file in files if file.name == TOKENIZER), None)
