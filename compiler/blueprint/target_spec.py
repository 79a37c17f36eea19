"""The format of `target.yaml`, which describes an output target, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compiler.blueprint.scalars import ByteSize, EngineVersion, Name, OptionName, OptionValue, RelativePath
from compiler.blueprint.spec import Spec


class TargetFileSpec(Spec):
    """One file of a bundle."""

    path: Annotated[RelativePath, Field(description="Where it goes in the bundle; may hold Jinja expressions.")]
    template: Annotated[
        RelativePath,
        Field(description="Name of the Jinja template in the target's folder; `builtin/TARGET/FILE` is one of slmc's."),
    ]
    per: Annotated[Literal["run"] | None, Field(description="`run`: one file for each run of the cohort.")] = None
    max_bytes: Annotated[ByteSize | None, Field(description="The largest that its reader takes.")] = None


class OptionSpec(Spec):
    """A value that a fleet can give the target; templates see it as `target.options.NAME`."""

    type: Annotated[
        Literal["text", "integer", "boolean", "image", "list"],
        Field(description="`image`: a reference by digest; `list`: a list of texts."),
    ]
    description: Annotated[str, Field(min_length=1, description="What it is for, in one line.")]
    default: Annotated[OptionValue | None, Field(description="Without one, and without a value, it is `none`.")] = None
    required: Annotated[bool, Field(description="Whether every fleet has to give a value.")] = False
    pattern: Annotated[
        str | None, Field(description="A regular expression that a text, or each text of a list, matches as a whole.")
    ] = None
    requires: Annotated[list[OptionName], Field(description="Options that have to be given with it.")] = []


class NeededVersionsSpec(Spec):
    """The oldest versions that the target works with, where a device class says its own."""

    systemd: Annotated[int | None, Field(ge=240, description="Of systemd.")] = None
    podman: Annotated[EngineVersion | None, Field(description="Of podman, in quotes.")] = None


class TargetSpec(Spec):
    """An output target: the files of its bundles, and what it needs to know of a run."""

    description: Annotated[str, Field(min_length=1, description="What the target is for, in one line.")]
    needs: list[Literal["image", "command"]] = Field(
        default_factory=list, description="What `serve` of every run must have for this target."
    )
    versions: Annotated[NeededVersionsSpec, Field(description="What devices must have at least.")] = (
        NeededVersionsSpec.model_construct()
    )
    options: Annotated[dict[OptionName, OptionSpec], Field(description="What a fleet can set, by name.")] = {}
    beside: Annotated[
        list[Name], Field(description="Targets that a fleet has to name as well, whose bundles it uses.")
    ] = []
    max_own_files: Annotated[
        ByteSize | None,
        Field(description="What artifacts.json, golden.json, serve.json and SHA256SUMS may have together."),
    ] = None
    files: Annotated[list[TargetFileSpec], Field(min_length=1, description="The files of a bundle.")]
