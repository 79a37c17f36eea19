"""The format of `target.yaml`, which describes an output target, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compiler.blueprint.scalars import RelativePath
from compiler.blueprint.spec import Spec


class TargetFileSpec(Spec):
    """One file of a bundle."""

    path: Annotated[RelativePath, Field(description="Where it goes in the bundle; may hold Jinja expressions.")]
    template: Annotated[RelativePath, Field(description="Name of the Jinja template in the target's folder.")]
    per: Annotated[Literal["run"] | None, Field(description="`run`: one file for each run of the cohort.")] = None


class TargetSpec(Spec):
    """An output target: the files of its bundles, and what it needs to know of a run."""

    description: Annotated[str, Field(min_length=1, description="What the target is for, in one line.")]
    needs: list[Literal["image", "command"]] = Field(
        default_factory=list, description="What `serve` of every run must have for this target."
    )
    files: Annotated[list[TargetFileSpec], Field(min_length=1, description="The files of a bundle.")]
