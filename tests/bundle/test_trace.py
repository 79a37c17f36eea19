"""Tracing writes the same lines as rendering, and knows which facts each was made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compiler.bundle.checks import check_targets
from compiler.bundle.context import cohort_context
from compiler.bundle.manifest import ARTIFACTS, GOLDEN, artifacts_json, golden_json
from compiler.bundle.serving import SERVE, readers, serve_json
from compiler.bundle.targets import Use
from compiler.bundle.trace import TracedLine, TracingEnvironment, maker
from compiler.fit.check import check
from compiler.fleet.graph import Fleet
from tests.bundle.scenarios import SCENARIOS, SERVED, rendered
from tests.bundle.test_generator import TEMPLATES, VALUES
from tests.bundle.test_own_targets import PER_RUN, compiled, using, write
from tests.conftest import REPOSITORY
from tests.values import artifacts_of, fleet_of


def traced(workspace: Path, fleet: Fleet, target: str, name: str) -> list[TracedLine]:
    artifacts = artifacts_of()
    targets, _ = check_targets(workspace, [fleet])
    estimates, _ = check([fleet], artifacts)
    context = cohort_context(fleet, fleet.cohorts[0], artifacts, estimates[0], "shops/pi")
    use = next(use for use in fleet.targets if use.name == target)
    context["target"] = Use.of(targets[target], use).facts()
    runs, hardware = context["runs"], context["cohort"].device_class
    served = readers(runs)
    own = {
        ARTIFACTS: artifacts_json(runs),
        GOLDEN: golden_json(runs, artifacts.artifacts),
        SERVE: serve_json(served, context["fleet"], hardware) if served else None,
    }
    context["files"] = {name: data.decode() for name, data in own.items() if data is not None}
    made = maker(targets[target], context, name)
    assert made is not None
    return TracingEnvironment(targets[target]).trace(*made)


def note(workspace: Path, template: str, **run: Any) -> list[tuple[str, str, str]]:
    """Text, facts and conditions of each line of a template of one run."""
    write(workspace, "note", {"target.yaml": PER_RUN, "note.j2": template})
    (workspace / "targets/note/part.j2").write_text("{{ run.port }}\n{% macro m(r) %}{{ r.threads }}{% endmacro %}")
    lines = traced(workspace, using("note", fleet_of(replace(SERVED, **run))), "note", "chat.txt")
    return [(line.text, _spelt(line.facts), _spelt(line.conditions)) for line in lines]


def _spelt(facts: tuple[tuple[str, ...], ...]) -> str:
    return " ".join(".".join(fact).removeprefix("runs.chat.") for fact in facts)


@pytest.mark.parametrize("name", SCENARIOS)
def test_built_in_targets_have_the_same_lines(name: str) -> None:
    first = SCENARIOS[name].cohorts[0].name
    for bundle in (bundle for bundle in rendered(SCENARIOS[name]).bundles if bundle.cohort == first):
        for path, data in bundle.files.items():
            if path not in ("SHA256SUMS", "artifacts.json", "golden.json", "serve.json"):
                lines = traced(REPOSITORY, SCENARIOS[name], bundle.target, path)
                assert [line.text for line in lines] == data.decode().removesuffix("\n").split("\n")


@pytest.mark.parametrize("template", TEMPLATES)
def test_any_value_gives_the_same_lines(template: str, tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": PER_RUN, "note.j2": "{% set value = run.parameters.value %}\n" + template})
    for value in VALUES[::2]:
        fleet = using("note", fleet_of(replace(SERVED, parameters=(("value", value), ("name", "of the user")))))
        bundles, diagnostics = compiled(tmp_path, fleet)
        if not diagnostics:
            text = "\n".join(line.text for line in traced(tmp_path, fleet, "note", "chat.txt"))
            assert text.encode() == next(iter(bundles.bundles)).files["chat.txt"].removesuffix(b"\n")


def test_conditions_hold_for_what_stands_inside(tmp_path: Path) -> None:
    template = (
        "{% if fleet.region == 'us' %}\nus\n{% elif run.threads > 2 %}\n{{ run.port }}\n{% else %}\nelse\n{% endif %}\n"
        "{{ 'many' if run.threads > 2 else 'few' }}\nafter\n"
    )
    assert note(tmp_path, template) == [
        ("8080", "port", "fleet.region threads"),
        ("many", "threads", ""),
        ("after", "", ""),
    ]


def test_variables_of_the_template_carry_their_facts(tmp_path: Path) -> None:
    template = (
        "{% set deny = fleet.privacy.egress == 'deny' %}\n{% set text %}{{ run.recipe }}!{% endset %}\n"
        "{% if deny %}\nno\n{% endif %}\n{{ deny | yaml }}\n{{ text }}\n"
    )
    assert note(tmp_path, template) == [
        ("no", "", "fleet.privacy.egress"),
        ("true", "fleet.privacy.egress", ""),
        ("int4!", "recipe", ""),
    ]


def test_loops_know_which_value_of_a_mapping_they_write(tmp_path: Path) -> None:
    template = (
        "{% for k, v in run.environment.items() %}\n{{ k }}={{ v }}\n{% endfor %}\n"
        "{% for k, v in run.parameters.labels | dictsort %}\n{{ k }}: {{ v | yaml }}\n{% endfor %}\n"
        "{{ run.parameters.labels.b }}\n{{ run.parameters['labels']['a'] }}\n{{ run.parameters.ports | yaml }}\n"
    )
    values = (("labels", {"b": "2", "a": "1"}), ("ports", [1, 2]))
    assert note(tmp_path, template, environment=(("LANG", "C"), ("LOG", "info")), parameters=values) == [
        ("LANG=C", "environment.LANG", ""),
        ("LOG=info", "environment.LOG", ""),
        ('a: "1"', "parameters.labels.a", ""),
        ('b: "2"', "parameters.labels.b", ""),
        ("2", "parameters.labels.b", ""),
        ("1", "parameters.labels.a", ""),
        ("[1, 2]", "parameters.ports", ""),
    ]


def test_other_templates_and_blocks(tmp_path: Path) -> None:
    template = (
        "{% from 'part.j2' import m with context %}\n{{ m(run) }} {{ fleet.name }}\n{% include 'part.j2' %}\n"
        "{% filter yaml %}{{ run.recipe }}{% endfilter %}\n\n{% block b %}\n{{ run.name }}\n{% endblock %}\n"
    )
    write(tmp_path, "note", {"target.yaml": PER_RUN, "note.j2": template})
    (tmp_path / "targets/note/part.j2").write_text("{{ run.port }}\n{% macro m(r) %}{{ r.threads }}{% endmacro %}")
    lines = traced(tmp_path, using("note", fleet_of(SERVED)), "note", "chat.txt")
    assert [(line.text, line.template, line.template_line, _spelt(line.facts)) for line in lines] == [
        ("4 shops", "note.j2", 2, "fleet.name threads"),
        ("8080", "part.j2", 1, "port"),
        ('"int4"', "note.j2", 4, "recipe"),
        ("chat", "note.j2", 7, "name"),
    ]


def test_a_value_of_several_lines_belongs_to_each(tmp_path: Path) -> None:
    template = "a\n{{ run.parameters.text }} b\n\nc\n"
    assert note(tmp_path, template, parameters=(("text", "one\ntwo"),)) == [
        ("a", "", ""),
        ("one", "parameters.text", ""),
        ("two b", "parameters.text", ""),
        ("", "", ""),
        ("c", "", ""),
    ]


def test_lists_of_runs_and_files(tmp_path: Path) -> None:
    template = (
        "{{ runs | length }} runs\n{% for other in runs %}\n-\n{{ other.name }}\n{% endfor %}\n"
        "{% for file in run.artifact.files %}\n{{ file.name }}: {{ file.digest | yaml | length }}\n{% endfor %}\n"
        "{{ run.command | length }} {{ target.name }} {{ fleet.privacy.telemetry | length }} {{ run.model.license }}\n"
    )
    assert note(tmp_path, template) == [
        ("1 runs", "runs", ""),
        ("-", "", "runs"),
        ("chat", "name", ""),
        ("model.onnx: 73", "artifact.files.model.onnx.digest artifact.files.model.onnx.name", ""),
        ("1 note 0 Apache-2.0", "fleet.privacy.telemetry command model.license target.name", ""),
    ]
