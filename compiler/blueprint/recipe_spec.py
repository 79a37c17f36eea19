"""Recipes as a blueprint declares them: steps, and the gates that their result must pass."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from compiler.blueprint.scalars import ByteSize, Share
from compiler.blueprint.spec import Spec
from compiler.blueprint.step_spec import StepSpec


class SizeGate(Spec):
    max: Annotated[ByteSize, Field(description="The most that is allowed, such as 450MiB.")]


class NumberCeiling(Spec):
    max: Annotated[float, Field(ge=0, description="The most that is allowed.")]


class NumberFloor(Spec):
    min: Annotated[float, Field(ge=0, description="The least that is allowed.")]


class ShareFloor(Spec):
    min: Annotated[Share, Field(description="The least that is allowed, such as 95%.")]


class GatesSpec(Spec):
    """Limits that the result must keep. A gate that fails stops the release (exit code 4)."""

    perplexity: Annotated[NumberCeiling | None, Field(description="Of the result, on the evaluation data.")] = None
    perplexity_ratio: Annotated[NumberCeiling | None, Field(description="Perplexity over the unoptimized model's.")] = (
        None
    )
    kl_divergence: Annotated[
        NumberCeiling | None, Field(description="Mean, in nats, of the next-token distribution.")
    ] = None
    kl_divergence_p99: Annotated[
        NumberCeiling | None, Field(description="99th percentile over positions of the same.")
    ] = None
    top_one_agreement: Annotated[
        ShareFloor | None, Field(description="Share of positions with the same best token.")
    ] = None
    task_accuracy: Annotated[
        ShareFloor | None, Field(description="Share of prompts answered right: exact matches, choices.")
    ] = None
    cosine_mean: Annotated[ShareFloor | None, Field(description="Of embeddings, with those of the original.")] = None
    cosine_min: Annotated[ShareFloor | None, Field(description="The same of the text that fares worst.")] = None
    rank_correlation: Annotated[
        ShareFloor | None, Field(description="Spearman's, of the similarities of all pairs of texts.")
    ] = None
    neighbour_agreement: Annotated[
        ShareFloor | None, Field(description="Share of texts whose nearest neighbour stays the same.")
    ] = None
    accuracy: Annotated[ShareFloor | None, Field(description="Share of texts that get their label.")] = None
    f1: Annotated[ShareFloor | None, Field(description="Macro F1 over the labels.")] = None
    label_agreement: Annotated[
        ShareFloor | None, Field(description="Share of texts that get the label the original gives.")
    ] = None
    size: Annotated[SizeGate | None, Field(description="All files of the result.")] = None
    tokens_per_second: Annotated[NumberFloor | None, Field(description="Measured on the build machine.")] = None
    latency: Annotated[
        NumberCeiling | None, Field(description="Milliseconds for one text of 128 tokens, on the build machine.")
    ] = None
    peak_memory: Annotated[SizeGate | None, Field(description="Measured on the build machine.")] = None


class RecipeSpec(Spec):
    """Ordered optimization steps, and the gates that their result must pass."""

    steps: Annotated[list[StepSpec], Field(min_length=1, description="What is done to the model, in this order.")]
    gates: Annotated[GatesSpec, Field(description="Limits that the result must keep.")] = GatesSpec.model_construct()
