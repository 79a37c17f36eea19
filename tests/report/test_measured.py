"""What a person reads about quality: a table for each task, with intervals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from compiler.artifact.artifact import Artifact, Artifacts, Figure, Original, Quality, Speed
from compiler.fleet.graph import Model
from compiler.plan.actions import Action, BuildKey, Plan, Reason, Verb
from compiler.report.measured import artifacts_text
from tests.values import ARTIFACT, MIB, MODEL, MODEL_SOURCE, ORIGINAL, RECIPE, digest

INTERVAL = "± is the 95 % confidence interval that the size of the sample allows."
HOST = "a processor, 2 threads, onnxruntime 1.0"
ENCODER = replace(MODEL, name="search", task="embeddings", evaluation_data="data/b.jsonl", baseline="deployed")
CLASSIFIER = replace(MODEL, name="mood", task="text-classification", evaluation_data="data/c.jsonl")


def action(model: Model) -> Action:
    return Action(
        Verb.KEEP,
        Reason.UNCHANGED,
        f"{model.name}-1.4.0-int4",
        model,
        RECIPE,
        MODEL_SOURCE,
        BuildKey("", "", (), {}),
        None,
    )


def artifact(model: Model, quality: Quality, speed: Speed | None) -> Artifact:
    name = f"{model.name}-1.4.0-int4"
    return replace(ARTIFACT, name=name, model=model.id, quality=quality, speed=speed)


def text(*found: tuple[Model, Quality, Speed | None, Mapping[str, Figure], Speed | None]) -> list[str]:
    """Its lines, with a stroke between the cells that are not empty."""
    artifacts = {a.name: a for a in (artifact(model, quality, speed) for model, quality, speed, _, _ in found)}
    originals = {
        model.id: Original(model.id, 400 * MIB, ORIGINAL.shape, own, before) for model, _, _, own, before in found
    }
    plan = Plan(tuple(action(model) for model, *_ in found), ())
    lines = artifacts_text(plan, Artifacts(artifacts, originals)).removesuffix("\n").split("\n")
    return [re.sub(" {2,}", " | ", line) for line in lines]


def test_text_generation() -> None:
    speeds = Speed(150.0, 90 * MIB, HOST, 20.0), Speed(100.0, 300 * MIB, HOST, 30.0)
    assert text((MODEL, ARTIFACT.quality, speeds[0], ORIGINAL.figures, speeds[1])) == [
        "artifact | size | perplexity | KL | KL p99 | top-1 | tokens/s | peak memory",
        "assistant@1.4.0 as it came | 400.0 MiB | 12.346 | 100 | 300.0 MiB",
        "→ int4 | 100.0 MiB (25.0%) | 12.500 (×1.0125 ±0.0025) | 0.01234 ±0.00100 | 0.0638 ±0.0074 | 95.3% ±1.0 | "
        "150 (×1.50) | 90.0 MiB",
        "Quality: measured on 4096 tokens of data/a.jsonl, against the model as it came.",
        INTERVAL,
        f"Speed and peak memory: measured on this build machine ({HOST}), not on a device.",
    ]


def test_tasks_have_tables_of_their_own_and_what_is_not_known_is_a_dash() -> None:
    vectors = Quality(
        {"texts": 40},
        {
            "cosineMean": Figure(0.99921, 0.9989, 0.9995),
            "cosineMin": Figure(0.98, None, None),
            "neighbourAgreement": Figure(0.975, 0.8712, 0.9956),
        },
        digest("7"),
    )
    labels = Quality(
        {"texts": 500},
        {
            "accuracy": Figure(0.9, 0.87, 0.92),
            "f1": Figure(0.8812, 0.84, 0.91),
            "labelAgreement": Figure(0.992, 0.98, 0.9969),
        },
    )
    own = {"accuracy": Figure(0.91, 0.88, 0.93), "f1": Figure(0.9, 0.87, 0.93)}
    speeds = Speed(None, 90 * MIB, HOST, 12.3), Speed(None, 300 * MIB, HOST, 24.6)
    found = text((ENCODER, vectors, speeds[0], {}, speeds[1]), (CLASSIFIER, labels, speeds[0], own, None))
    assert found == [
        "artifact | size | cosine | worst | ranks | neighbours | ms | peak memory",
        "search@1.4.0 as it came | 400.0 MiB | 24.6 | 300.0 MiB",
        "→ int4 | 100.0 MiB (25.0%) | 0.99921 ±0.00031 | 0.98000 | - | 97.5% ±10.4 | 12.3 (×0.50) | 90.0 MiB",
        "",
        "artifact | size | accuracy | F1 | agreement | ms | peak memory",
        "mood@1.4.0 as it came | 400.0 MiB | 91.0% ±3.0 | 0.9000 ±0.0300 | - | -",
        "→ int4 | 100.0 MiB (25.0%) | 90.0% ±3.0 | 0.8812 ±0.0412 | 99.2% ±1.2 | 12.3 | 90.0 MiB",
        "Quality: measured on 40 texts of data/b.jsonl, against the artifact that was deployed (777777777777).",
        "Quality: measured on 500 texts of data/c.jsonl, against the model as it came.",
        INTERVAL,
        f"Speed and peak memory: measured on this build machine ({HOST}), not on a device.",
    ]


def test_prompts_have_a_column_where_there_are_any_and_a_lost_baseline_is_told() -> None:
    figures = {"perplexity": Figure(12.5, None, None), "taskAccuracy": Figure(0.5, 0.4, 0.6)}
    quality = Quality({"tokens": 40, "prompts": 99}, figures, digest("7"))
    found = text((replace(MODEL, baseline="deployed"), quality, None, {"perplexity": Figure(12.4, 12, 13)}, None))
    assert found == [
        "artifact | size | perplexity | KL | KL p99 | top-1 | tasks | tokens/s | peak memory",
        "assistant@1.4.0 as it came | 400.0 MiB | 12.400 | - | -",
        "→ int4 | 100.0 MiB (25.0%) | 12.500 | - | - | - | 50.0% ±10.0 | - | -",
        "Quality: measured on 40 tokens and 99 prompts of data/a.jsonl, against the artifact that was deployed "
        "(777777777777), which is not in the store.",
        INTERVAL,
        "Speed and peak memory: unknown here; they belong to the machine that builds.",
    ]
