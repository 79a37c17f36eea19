"""Small values of the compiler's own types, with every field that a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from compiler.artifact.artifact import Answer, Artifact, Artifacts, Figure, File, Golden, Original, Quality, Shape
from compiler.base.span import Source, Span
from compiler.fleet.devices import Device, Setting
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, Model, Privacy, Recipe, Run, Step, TargetUse
from compiler.fleet.sources import ModelSource

MIB = 2**20
SOURCE = Source("shop.slmc.yaml", "models: {}\nrecipes: {}\nfleets: {}\n")
PLACE = Span(SOURCE, 3, 1, 6)


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


MODEL = Model("assistant", "1.4.0", "text-generation", "Apache-2.0", "models/a", "data/a.jsonl", 4096, PLACE, PLACE)
OPTIMIZE = Step("optimize", {"level": "extended"}, PLACE)
INT4 = Step("quantize", {"scheme": "int4", "blockSize": 32, "symmetric": False}, PLACE)
RECIPE = Recipe("int4", (OPTIMIZE, INT4), (), PLACE)
CLASS = DeviceClass(
    "pi", "arm64", 1024 * MIB, 4096 * MIB, 512 * MIB, 1024 * MIB, 4, ("dotprod",), (), 12.0, 80.0, "2025-12", 252, PLACE
)
DEVICE = Device("till-1", "pi", (("site", "berlin"),), PLACE)
RUN = Run("chat", MODEL, RECIPE, 4, None, None, None, ("/usr/bin/server",), 8080, (), PLACE)
PRIVACY = Privacy("personal", "eu", "deny", ())


@dataclass(frozen=True)
class SameOrigins:
    """The same origins for every device."""

    settings: Mapping[str, Setting] = field(default_factory=dict)

    def way(self, device: Device) -> Hashable:
        return ()

    @property
    def ways(self) -> Mapping[tuple[str, tuple[int, ...]], int]:
        return {}

    def of(self, device: Device) -> Mapping[str, Setting]:
        return self.settings


COHORT = Cohort("pi", CLASS, (RUN,), (DEVICE,), PRIVACY, SameOrigins())
FLEET = Fleet("shops", "eu", (TargetUse("systemd", PLACE),), PRIVACY, (COHORT,), PLACE)
MODEL_SOURCE = ModelSource("assistant@1.4.0", (), digest("a"), digest("e"))

SHAPE = Shape(parameters=2_000_000, weight_bytes=100 * MIB, kv_bytes_per_token=1024, context_length=2048)
QUALITY = Quality(
    {"tokens": 4096},
    {
        "perplexity": Figure(12.5, 12.0, 13.0),
        "perplexityRatio": Figure(1.0125, 1.01, 1.015),
        "klDivergence": Figure(0.01234, 0.01134, 0.01334),
        "klDivergenceP99": Figure(0.0638, 0.0601, 0.0712),
        "topOneAgreement": Figure(0.9531, 0.9431, 0.9611),
    },
)
GOLDEN = Golden(
    "text-generation",
    0.1,
    (
        Answer("Once upon", " a time", (264, 892), (264, 290, 13), (-0.31, -1.9, -3.25)),
        Answer('The "end" of [\n1\n]', "", (), (13, 264, 290), (-1.2, -1.25, -4.0)),
    ),
)
ARTIFACT = Artifact(
    name="assistant-1.4.0-int4",
    model="assistant@1.4.0",
    recipe="int4",
    key=digest("b"),
    digest=digest("c"),
    files=(File("model.onnx", 100 * MIB, digest("d")),),
    shape=SHAPE,
    quality=QUALITY,
    golden=GOLDEN,
)
ORIGINAL = Original("assistant@1.4.0", 400 * MIB, SHAPE, {"perplexity": Figure(12.346, 11.9, 12.8)})


def fleet_of(run: Run = RUN, device_class: DeviceClass = CLASS) -> Fleet:
    return replace(FLEET, cohorts=(replace(COHORT, runs=(run,), device_class=device_class),))


def artifacts_of(**changes: Any) -> Artifacts:
    """The one artifact with some fields changed, and its original."""
    return Artifacts({ARTIFACT.name: replace(ARTIFACT, **changes)}, {ORIGINAL.model: ORIGINAL})
