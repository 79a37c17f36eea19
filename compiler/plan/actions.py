"""What a compile will do, and why: the types that `plan` gives and later stages follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from compiler.base import digests
from compiler.fleet.graph import Model, Recipe
from compiler.fleet.sources import ModelSource


class Verb(Enum):
    BUILD = "build"
    KEEP = "keep"


class Reason(Enum):
    UNCHANGED = "unchanged"
    NEW = "not in the lock"
    SOURCE = "the model's files changed"
    TASK = "the model's task changed"
    RECIPE = "the recipe's steps changed"
    TOOLS = "the tools' versions changed"
    EVALUATION = "the evaluation data changed"


@dataclass(frozen=True, slots=True)
class BuildKey:
    """Everything that shapes an artifact's bytes. Its digest is the artifact's key."""

    source: str
    task: str
    """Weights that lie alone become another graph for each task."""
    steps: tuple[Mapping[str, Any], ...]
    """Per step: kind, version and all parameters, as plain JSON values."""
    tools: Mapping[str, str]
    """Distribution name → version, of the libraries that make the bytes."""

    @property
    def digest(self) -> str:
        return self.after(len(self.steps))

    def after(self, count: int) -> str:
        """The key of what the first `count` steps make. Recipes that begin alike share these."""
        return digests.of_value(
            {
                "source": self.source,
                "task": self.task,
                "steps": list(self.steps[:count]),
                "tools": dict(self.tools),
            }
        )


@dataclass(frozen=True, slots=True)
class Locked:
    """What the last lock knows of one artifact: what its Reason is found from, most of it digests.

    `task` is empty where the lock does not say it, `digest` of what is not there, since a step does not apply.
    """

    key: str
    source: str
    task: str
    steps: str
    evaluation: str
    digest: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last lock as the planner sees it: artifacts by name."""

    artifacts: Mapping[str, Locked] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """Build or keep one artifact (`name`), which `recipe` makes from `model`."""

    verb: Verb
    reason: Reason
    name: str
    model: Model
    recipe: Recipe
    source: ModelSource
    inputs: BuildKey
    locked: Locked | None
    """What the last lock says of the artifact of this name; with KEEP, still true."""
    choices: tuple[Recipe, ...] = ()
    """The choices that the recipe is a candidate of; none when some run has it by itself."""

    @property
    def key(self) -> str:
        return self.inputs.digest


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions by artifact name, and the names that the lock still has and nobody uses."""

    actions: tuple[Action, ...]
    dropped: tuple[str, ...]
