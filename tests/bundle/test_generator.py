"""The quick code of templates gives what Jinja's own gives: every byte, and every diagnostic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from jinja2.compiler import CodeGenerator

from compiler.bundle.environment import TargetEnvironment
from compiler.bundle.generator import QuickGenerator
from compiler.report.text import diagnostic_text
from tests.bundle.scenarios import NASTY, SCENARIOS, SERVED, rendered
from tests.bundle.test_own_targets import PER_RUN, compiled, using, write
from tests.values import fleet_of

VALUES = (
    "text",
    "",
    "ä\n\"'<&>",
    0,
    1,
    -7,
    2**70,
    True,
    False,
    None,
    1.0,
    1e400,
    0.1,
    [1, "1", True],
    {},
    {"a": {"b": "c"}},
)

TEMPLATES = (
    "{{ value }}",
    "{{ value | yaml }}{{ value | yaml }}",
    "{{ value | systemd }} {{ value | env }} {{ value | shell }} {{ value | nft }} {{ value | comment }}",
    "{{ value | dns_label }} {{ value | label_value }}",
    "{{ value | tojson }} {{ value | tojson(2) }} {{ (value | tojson) + '<' }} {{ (value | tojson) ~ '<' }}",
    "{{ value | string | yaml }}",
    "{{ value * 2 }} {{ 2 * value }}",
    "{{ value * value }}",
    "{{ value ~ '-' ~ value ~ 1 }}",
    "{{ run.nothing ~ (1 / 0) }}",
    "{{ (1 / 0) ~ run.nothing }}",
    "{{ 1 ~ 2 ~ 3 ~ 4 ~ 5 ~ 6 ~ 7 ~ 8 ~ value }}",
    "{{ value.a }}",
    "{{ value.a.b }}",
    "{{ value.items }}",
    "{{ value.items() | list | yaml }}",
    "{{ value.keys() | list | yaml }}{{ value.values() | list | yaml }}",
    "{% for k, v in value.items() %}{{ k }}{{ v }}{% endfor %}",
    "{% for k, v in value | dictsort %}{{ k }}={{ v | yaml }}{% endfor %}",
    "{% for x in value %}{{ loop.index }}{{ loop.first }}{% endfor %}",
    "{% for x in value %}{{ loop.index0 }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
    "{% set run = value %}{{ run.name }}",
    "{% set run = {'name': value, 'threads': 1} %}{{ run.name }}{{ run.threads }}",
    "{% set loop = value %}{{ loop.last }}",
    "{% macro m(run) %}{{ run.name }}{{ value | tojson }}{% endmacro %}{{ m(run) }}{{ m(run) | yaml }}{{ m(value) }}",
    "{% set block %}{{ value | tojson }}<{% endset %}{{ block }}",
    "{% filter yaml %}{{ value }}{% endfilter %}",
    "{% autoescape true %}{{ value }}{{ value | tojson }}{{ '<' ~ value }}{% endautoescape %}{{ value | yaml }}",
    "{% call(x) caller_of() %}{% endcall %}",
    "{% macro wrap() %}[{{ caller() }}]{% endmacro %}{% call wrap() %}{{ value | yaml }}{{ run.port }}{% endcall %}",
    "{% block body %}{{ value }}{{ run.environment.items() | list | yaml }}{% endblock %}{{ self.body() }}",
    "{% if value is defined and value %}{{ run.port }}{% else %}{{ fleet.region }}{% endif %}",
    "{{ [value, run.threads] | join('-') }}",
    "{{ {'b': 1, 'A': 2, 'a': value} | dictsort }}",
    "{% for k, v in {'b': 1, 'A': 2, 'a': 3, 'B': 4} | dictsort %}{{ k }}{% endfor %}",
    "{% for k, v in {'b': 1, 'A': 2} | dictsort(true) %}{{ k }}{% endfor %}",
    "{% for k, v in {1: 1, true: 2, 'a': 3} | dictsort %}{{ k }}{% endfor %}",
    "{% for k, v in {1: 'x', 0: 'y'} | dictsort %}{{ k }}{% endfor %}",
)  # fmt: skip

HARMFUL = (
    "{{ run.__class__ }}",
    "{{ run.__class__.__mro__ }}",
    "{{ run._x }}",
    "{{ run.parameters.__class__ }}",
    "{{ run.parameters._hidden }}",
    "{{ run.parameters.pop }}",
    "{{ run.parameters.clear() }}{{ run.parameters | length }}",
    "{{ '{0.__class__}'.format(run) }}",
    "{{ '{0.name}'.format(run) }}",
    "{{ '{a}'.format_map({'a': run.__init__}) }}",
    "{{ run.name.format.__globals__ }}",
    "{{ fleet.items() }}",
    "{{ run.environment.items(1) }}",
    "{{ run.environment.items.__self__ }}",
    "{{ 'x' * 10000000 }}",
    "{{ 10000000 * 'x' }}",
    "{{ (1, 2) * 10000000 }}",
    "{{ 2 ** 10000000 }}",
    "{{ run.threads * run.name * 10000000 }}",
    "{{ run.threads * 3 }} {{ run.threads * 2.5 }} {{ true * 3 }} {{ run.threads * none }}",
    "{{ run.name }}{{ run.nme }}",
    "{{ run.artifact.diggest }}",
    "{{ run.model }}",
    "{{ fleet.privacy.telemetry }}",
    "{{ run.parameters.value.nothing.more }}",
    "{{ run.environment.NOTHING }}",
    "{{ nothing.items() }}",
    "{{ cohort.device_class.nothing.items() }}",
    "{{ runs | unique | list | length }}",
    "{{ [run, run] | unique | list | length }}",
    "{{ [cohort, cohort, fleet, fleet] | unique | list | length }}",
    "{{ '\ud800' | yaml }}",
)


def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TargetEnvironment, "code_generator_class", CodeGenerator)


def _said(workspace: Path, value: object) -> list[str]:
    run = replace(SERVED, parameters=(("value", value), ("name", "of the user")), environment=NASTY)
    bundles, diagnostics = compiled(workspace, using("note", fleet_of(run)))
    written = [repr(data) for data in bundles.files().values()]
    return written + [diagnostic_text(diagnostic) for diagnostic in diagnostics]


@pytest.mark.parametrize("name", SCENARIOS)
def test_built_in_targets_come_out_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = rendered(SCENARIOS[name]).files()
    _plain(monkeypatch)
    assert rendered(SCENARIOS[name]).files() == quick


@pytest.mark.parametrize("template", TEMPLATES)
def test_any_value_comes_out_the_same(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "note", {"target.yaml": PER_RUN, "note.j2": "{% set value = run.parameters.value %}\n" + template})
    quick = [_said(tmp_path, value) for value in VALUES]
    assert TargetEnvironment.code_generator_class is QuickGenerator
    _plain(monkeypatch)
    assert [_said(tmp_path, value) for value in VALUES] == quick


@pytest.mark.parametrize("template", HARMFUL)
def test_the_sandbox_says_the_same(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = template.encode(errors="surrogatepass")
    write(tmp_path, "note", {"target.yaml": PER_RUN, "note.j2": ""})
    (tmp_path / "targets/note/note.j2").write_bytes(data)
    quick = _said(tmp_path, {"a": 1})
    _plain(monkeypatch)
    assert _said(tmp_path, {"a": 1}) == quick


def test_equal_values_of_other_types_are_not_confused(tmp_path: Path) -> None:
    template = "{% for x in run.parameters.value %}{{ x | yaml }} {{ x | tojson }} {{ x | string }};{% endfor %}"
    write(tmp_path, "note", {"target.yaml": PER_RUN, "note.j2": template})
    (note,) = (data for data in _said(tmp_path, [1, True, 1.0, "1", "True"]) if "1.0" in data)
    assert note == repr(b'1 1 1;true true True;1.0 1.0 1.0;"1" "1" 1;"True" "True" True;')
