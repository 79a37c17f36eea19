"""The runtimes of a blueprint, as pydantic models: what serves a model, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compiler.blueprint.scalars import Duration, ImageReference, Share, UrlPath, VariableName
from compiler.blueprint.spec import Spec


class ProbesSpec(Spec):
    """Paths that the server answers on its port."""

    live: Annotated[UrlPath | None, Field(description="Answers while the process is sound.")] = None
    ready: Annotated[UrlPath | None, Field(description="Answers when the model can be asked.")] = None
    metrics: Annotated[UrlPath | None, Field(description="In Prometheus' text format.")] = None


class RuntimeSpec(Spec):
    """A program that serves models. In its words, `{model}`, `{bundle}`, `{run}`, `{host}`, `{port}`, `{threads}` and
    `{contextLength}` stand for the values of a run."""

    description: Annotated[str | None, Field(description="What it is, in one line.")] = None
    image: Annotated[ImageReference | None, Field(description="For container targets, by digest.")] = None
    arguments: Annotated[list[str] | None, Field(description="What the image's entry point is given.")] = None
    command: Annotated[
        list[str] | None, Field(min_length=1, description="Where it is installed: absolute program and arguments.")
    ] = None
    tasks: Annotated[
        list[Literal["text-generation", "embeddings", "text-classification"]] | None,
        Field(min_length=1, description="What it serves; default: any."),
    ] = None
    probes: Annotated[ProbesSpec, Field(description="Paths for health and metrics.")] = ProbesSpec.model_construct()
    notify: Annotated[bool, Field(description="Whether it tells systemd that it is ready, and is watched.")] = False
    configuration: Annotated[
        Literal["serve.json"] | None, Field(description="The file of the bundle that it reads.")
    ] = None
    environment: Annotated[dict[VariableName, str], Field(description="Environment variables.")] = {}


class LimitsSpec(Spec):
    """What one server takes on. slmc's own runtime holds to them."""

    output_tokens: Annotated[int | None, Field(ge=1, description="Tokens of an answer, at most.")] = None
    queue: Annotated[int | None, Field(ge=0, le=10_000, description="Requests that wait; more are turned away.")] = None
    request_bytes: Annotated[int | None, Field(ge=1024, description="Bytes of a request, at most.")] = None
    timeout: Annotated[Duration | None, Field(description="For a request, waiting included.")] = None


class ObjectivesSpec(Spec):
    """What the run is held to (service level objectives): alerts and the buckets of histograms follow them."""

    time_to_first_token: Annotated[Duration | None, Field(description="For 95 % of the requests.")] = None
    time_per_token: Annotated[Duration | None, Field(description="For 95 % of the requests.")] = None
    latency_p95: Annotated[Duration | None, Field(alias="latencyP95", description="Of a whole request.")] = None
    error_rate: Annotated[Share | None, Field(description="Share of requests that fail.")] = None
