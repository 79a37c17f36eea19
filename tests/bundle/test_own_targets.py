"""A workspace's own targets: what they render, and what is said of a template that is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler.base.diagnostics import Diagnostic, has_errors
from compiler.bundle.bundles import Bundles
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet, TargetUse
from compiler.report.text import diagnostic_text
from tests.bundle.scenarios import PLAIN, TWO_RUNS
from tests.values import PLACE, artifacts_of

ONE_FILE = "description: A note\nfiles:\n  - {path: note.txt, template: note.j2}\n"
PER_RUN = "description: A note\nfiles:\n  - {path: '{{ run.name }}.txt', template: note.j2, per: run}\n"


def write(workspace: Path, name: str, files: dict[str, str]) -> None:
    folder = workspace / "targets" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text, encoding="utf-8")


def compiled(workspace: Path, *fleets: Fleet) -> tuple[Bundles, list[Diagnostic]]:
    targets, diagnostics = check_targets(workspace, fleets)
    assert not has_errors(diagnostics)
    artifacts = artifacts_of()
    bundles = render(targets, fleets, artifacts, check(fleets, artifacts)[0], {fleet.name: 0 for fleet in fleets})
    bundles.files()
    return bundles, bundles.diagnostics


def using(name: str, fleet: Fleet = PLAIN) -> Fleet:
    return replace(fleet, targets=(TargetUse(name, PLACE),))


def test_a_workspace_adds_a_target(tmp_path: Path) -> None:
    line = "{{ target.name }}: {{ run.name }} on {{ cohort.device_class.arch }}"
    template = f"{{% for run in runs %}}\n{line}\n{{% endfor %}}\n"
    write(tmp_path, "note", {"target.yaml": ONE_FILE, "note.j2": template})
    bundles, diagnostics = compiled(tmp_path, using("note", TWO_RUNS))
    assert diagnostics == []
    (bundle,) = bundles.bundles
    assert bundle.folder == "shops/pi/note"
    assert sorted(bundle.files) == ["SHA256SUMS", "artifacts.json", "golden.json", "note.txt"]
    assert bundle.files["note.txt"] == b"note: chat on amd64\nnote: search.v2 on amd64\n"


def test_a_workspace_replaces_a_target(tmp_path: Path) -> None:
    write(tmp_path, "systemd", {"target.yaml": PER_RUN, "note.j2": "own"})
    bundles, diagnostics = compiled(tmp_path, using("systemd", TWO_RUNS))
    assert diagnostics == []
    (bundle,) = bundles.bundles
    assert sorted(bundle.files) == ["SHA256SUMS", "artifacts.json", "chat.txt", "golden.json", "search.v2.txt"]
    assert bundle.files["chat.txt"] == b"own"


WRONG = {
    "variable": (
        ONE_FILE,
        "Fleet {{ fleet.name }}\nin {{ cohrt.name }}\n",
        """\
targets/note/note.j2:2:7: error SLM701 undefined-variable: Template names an undefined variable
    in {{ cohrt.name }}
          ^^^^^
  The template has no variable `cohrt`.
  help: `cohort` has a similar name.
""",
    ),
    "run outside of a run": (
        ONE_FILE,
        "{{ run.name }}\n",
        """\
targets/note/note.j2:1:4: error SLM701 undefined-variable: Template names an undefined variable
    {{ run.name }}
       ^^^
  The template has no variable `run`.
  help: `runs` has a similar name.
""",
    ),
    "attribute on a later line": (
        PER_RUN,
        "{{\n  run.name\n  ~ run.artifact.diggest }}\n",
        """\
targets/note/note.j2:3:18: error SLM701 undefined-variable: Template names an undefined variable
      ~ run.artifact.diggest }}
                     ^^^^^^^
  A value of kind `artifact` has no `diggest`.
  help: `digest` has a similar name.
""",
    ),
    "variable of the environment": (
        PER_RUN,
        "{{ run.environment.PROXY }}\n",
        """\
targets/note/note.j2:1:20: error SLM701 undefined-variable: Template names an undefined variable
    {{ run.environment.PROXY }}
                       ^^^^^
  A value of kind `dict` has no `PROXY`.
""",
    ),
    "syntax": (
        ONE_FILE,
        "one\n{% for run in runs %}\n{{ run.name }\n{% endfor %}\n",
        """\
targets/note/note.j2:3:1: error SLM702 template-error: Template cannot be rendered
    {{ run.name }
    ^^^^^^^^^^^^^
  Jinja cannot read it: unexpected '}'.
""",
    ),
    "filter": (
        PER_RUN,
        "{{ run.name | yamll }}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {{ run.name | yamll }}
    ^^^^^^^^^^^^^^^^^^^^^^
  Jinja cannot read it: No filter named 'yamll'.
""",
    ),
    "value without a spelling": (
        PER_RUN,
        "a\n\n  {{ run.command }}\n",
        """\
targets/note/note.j2:3:3: error SLM702 template-error: Template cannot be rendered
      {{ run.command }}
      ^^^^^^^^^^^^^^^^^
  A list cannot be written as it stands; a filter such as `yaml` says how.
""",
    ),
    "value that the syntax cannot carry": (
        PER_RUN,
        "{{ 'a\"b' | nft }}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {{ 'a"b' | nft }}
    ^^^^^^^^^^^^^^^^^
  nftables cannot carry 'a"b' in a string: no quotes, control characters, or over 128 bytes.
""",
    ),
    "arithmetic": (
        PER_RUN,
        "{{ run.threads // 0 }}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {{ run.threads // 0 }}
    ^^^^^^^^^^^^^^^^^^^^^^
  integer division or modulo by zero.
""",
    ),
    "attribute that the sandbox forbids": (
        PER_RUN,
        "{{ run.__class__ }}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {{ run.__class__ }}
    ^^^^^^^^^^^^^^^^^^^
  access to attribute '__class__' of 'RunFacts' object is unsafe.
""",
    ),
    "loop that is too long": (
        ONE_FILE,
        "{% for number in range(10000000) %}x{% endfor %}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {% for number in range(10000000) %}x{% endfor %}
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).
""",
    ),
    "power that fills the memory": (
        ONE_FILE,
        "{{ 9 ** 99999999 }}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {{ 9 ** 99999999 }}
    ^^^^^^^^^^^^^^^^^^^
  The result of `**` is too large.
""",
    ),
    "recursion": (
        ONE_FILE,
        "{% macro again() %}{{ again() }}{% endmacro %}\n{{ again() }}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {% macro again() %}{{ again() }}{% endmacro %}
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  The template calls itself without end.
""",
    ),
    "include": (
        ONE_FILE,
        "{% include '../../secret.txt' %}\n",
        """\
targets/note/note.j2:1:1: error SLM702 template-error: Template cannot be rendered
    {% include '../../secret.txt' %}
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  The target's folder has no template `../../secret.txt`.
""",
    ),
    "path that leaves the bundle": (
        "description: A note\nfiles:\n  - {path: \"{{ '../' }}{{ fleet.name }}\", template: note.j2}\n",
        "text\n",
        """\
targets/note/target.yaml:3:12: error SLM703 bad-target: Target definition is wrong
      - {path: "{{ '../' }}{{ fleet.name }}", template: note.j2}
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  `../shops` is no path inside a bundle.
  help: A path is relative, with `/`, stays in the bundle's folder, and has no name over 255 bytes.
""",
    ),
    "variable in a path": (
        "description: A note\nfiles:\n  - {path: '{{ run.name }}.txt', template: note.j2}\n",
        "text\n",
        """\
targets/note/target.yaml:3:12: error SLM701 undefined-variable: Template names an undefined variable
      - {path: '{{ run.name }}.txt', template: note.j2}
               ^^^^^^^^^^^^^^^^^^^^
  The template has no variable `run`.
  help: `runs` has a similar name.
""",
    ),
    "one path for all runs": (
        "description: A note\nfiles:\n  - {path: note.txt, template: note.j2, per: run}\n",
        "text\n",
        """\
targets/note/target.yaml:3:12: error SLM705 output-clash: Two outputs have the same path
      - {path: note.txt, template: note.j2, per: run}
               ^^^^^^^^
  `note.txt` and `note.txt` cannot stand in one bundle.
  help: slmc's own are `artifacts.json`, `golden.json`, `serve.json`, `SHA256SUMS`; with `per: run`, use `run.name`.
""",
    ),
    "place of the checksums": (
        "description: A note\nfiles:\n  - {path: SHA256SUMS/note.txt, template: note.j2}\n",
        "text\n",
        """\
targets/note/target.yaml:3:12: error SLM705 output-clash: Two outputs have the same path
      - {path: SHA256SUMS/note.txt, template: note.j2}
               ^^^^^^^^^^^^^^^^^^^
  `SHA256SUMS/note.txt` and `SHA256SUMS` cannot stand in one bundle.
  help: slmc's own are `artifacts.json`, `golden.json`, `serve.json`, `SHA256SUMS`; with `per: run`, use `run.name`.
""",
    ),
}


@pytest.mark.parametrize(("definition", "template", "expected"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_has_a_place(definition: str, template: str, expected: str, tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": definition, "note.j2": template})
    (tmp_path / "secret.txt").write_text("secret")
    _, diagnostics = compiled(tmp_path, using("note", TWO_RUNS))
    assert "\n".join(map(diagnostic_text, diagnostics)) == expected


def test_every_wrong_template_is_reported_and_each_once(tmp_path: Path) -> None:
    definition = "description: A note\nfiles:\n" + "".join(
        f"  - {{path: {name}.txt, template: {name}.j2}}\n" for name in ("a", "b", "c")
    )
    templates = {"a.j2": "{{ x }}{{ y }}", "b.j2": "{{ 1 // 0 }}", "c.j2": "fine"}
    write(tmp_path, "note", {"target.yaml": definition, **templates})
    cohorts = tuple(replace(PLAIN.cohorts[0], name=f"c{number}") for number in range(3))
    _, diagnostics = compiled(tmp_path, using("note", replace(PLAIN, cohorts=cohorts)))
    assert [(str(found.span), found.code.id) for found in diagnostics] == [
        ("targets/note/a.j2:1:4", "SLM701"),
        ("targets/note/a.j2:1:11", "SLM701"),
        ("targets/note/b.j2:1:1", "SLM702"),
    ]


def test_a_template_that_is_not_utf_8(tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": ONE_FILE})
    (tmp_path / "targets/note/note.j2").write_bytes("läuft".encode("latin-1"))
    _, diagnostics = compiled(tmp_path, using("note"))
    assert [(found.code.id, found.file, found.message) for found in diagnostics] == [
        ("SLM101", "targets/note/note.j2", "`targets/note/note.j2` is not UTF-8.")
    ]


def test_a_link_out_of_the_folder_is_no_template(tmp_path: Path) -> None:
    write(tmp_path, "note", {"target.yaml": ONE_FILE})
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "targets/note/note.j2").symlink_to(tmp_path / "secret.txt")
    _, diagnostics = check_targets(tmp_path, [using("note")])
    assert [found.code.id for found in diagnostics] == ["SLM703"]
