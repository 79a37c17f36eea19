"""Files merge by name; a wrong entry hides no other, and stays known as broken."""

from __future__ import annotations

from pathlib import Path

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Source, Span
from compiler.blueprint.blueprint import Blueprint
from compiler.blueprint.file_spec import SECTIONS, BlueprintSpec, EnvelopeSpec
from compiler.blueprint.merge import merge
from compiler.blueprint.recipe_spec import RecipeSpec
from compiler.blueprint.step_spec import OptimizeStep
from compiler.syntax.document import Document, Mapping
from compiler.syntax.read import parse, read_all

HEAD = "apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\n"
OPTIMIZE = RecipeSpec(steps=[OptimizeStep(kind="optimize")])


def documents_of(*texts: str) -> list[Document]:
    found = []
    for name, text in zip("abc", texts, strict=False):
        document, diagnostics = parse((HEAD + text).encode(), f"{name}.slmc.yaml")
        assert diagnostics == []
        assert document is not None
        found.append(document)
    return found


def merged(*texts: str) -> tuple[Blueprint, list[Diagnostic]]:
    return merge(documents_of(*texts))


def shown(diagnostics: list[Diagnostic]) -> list[tuple[str, str, str]]:
    return [(one.code.id, str(one.span), one.message) for one in diagnostics]


def test_files_merge_by_name() -> None:
    blueprint, diagnostics = merged(
        "recipes:\n  a: {steps: [{kind: optimize}]}\n", "recipes:\n  b: {steps: [{kind: optimize}]}\n"
    )
    assert diagnostics == []
    assert blueprint.recipes == {"a": OPTIMIZE, "b": OPTIMIZE}
    assert (blueprint.models, blueprint.device_classes, blueprint.fleets) == ({}, {}, {})
    assert (blueprint.broken, blueprint.complete) == (frozenset(), True)
    assert {entry: owner.source.path for entry, owner in blueprint.places.owners.items()} == {
        ("recipes", "a"): "a.slmc.yaml",
        ("recipes", "b"): "b.slmc.yaml",
    }
    assert str(blueprint.places.value("recipes", "b", "steps", 0, "kind")) == "b.slmc.yaml:4:22"
    assert blueprint.places.has("recipes", "b", "steps", 0, "kind")
    assert not blueprint.places.has("recipes", "b", "gates")


def test_a_name_defined_twice_shows_both_places() -> None:
    documents = documents_of("recipes:\n  a: {steps: [{kind: optimize}]}\n", "recipes:\n  a: {steps: 3}\n")
    blueprint, diagnostics = merge(documents)
    assert diagnostics == [
        Diagnostic(
            Code.DUPLICATE_DEFINITION,
            "`a` is defined twice in `recipes`.",
            Span(documents[1].source, 4, 3, 1),
            "Files merge by name. Rename or remove one of the two.",
            ((Span(documents[0].source, 4, 3, 1), "first defined here"),),
        )
    ]
    assert blueprint.recipes == {"a": OPTIMIZE}


def test_the_same_name_in_two_sections_is_fine() -> None:
    _, diagnostics = merged("recipes:\n  a: {steps: [{kind: optimize}]}\ndeviceClasses:\n  a: {}\n")
    assert diagnostics == []


def test_a_wrong_entry_is_broken_and_hides_no_other() -> None:
    blueprint, diagnostics = merged(
        "recipes:\n  a: {stps: []}\n  B: {steps: [{kind: optimize}]}\n  c: {steps: [{kind: optimize}]}\n",
        "recipes:\n  a: {steps: [{kind: optimize}]}\n",
    )
    assert shown(diagnostics) == [
        ("SLM201", "a.slmc.yaml:4:7", "`stps` is not a key of `a`."),
        ("SLM205", "a.slmc.yaml:5:3", "`B` is not allowed as a name here."),
        ("SLM206", "b.slmc.yaml:4:3", "`a` is defined twice in `recipes`."),
    ]
    assert blueprint.recipes == {"c": OPTIMIZE}
    assert blueprint.broken == {("recipes", "a"), ("recipes", "B")}
    assert set(blueprint.places.owners) == {("recipes", "a"), ("recipes", "B"), ("recipes", "c")}
    assert blueprint.complete


def test_mistakes_around_the_entries() -> None:
    blueprint, diagnostics = merged("modells: {}\nrecipes: [a]\nfleets:\nmodels: {}\n")
    assert shown(diagnostics) == [
        ("SLM202", "a.slmc.yaml:4:1", "`recipes` is a list; a mapping was expected."),
        ("SLM202", "a.slmc.yaml:5:1", "`fleets` has no value; a mapping was expected."),
        ("SLM201", "a.slmc.yaml:3:1", "`modells` is not a key of the file."),
    ]
    assert blueprint.broken == frozenset()


def test_another_version_is_not_looked_into() -> None:
    document, _ = parse(b"apiVersion: slmc.dev/v1\nkind: 3\nrecipes: {a: {x: y}}\nzzz: 1\n", "a")
    assert document is not None
    blueprint, diagnostics = merge([document])
    assert shown(diagnostics) == [
        ("SLM210", "a:1:13", "`apiVersion` is `slmc.dev/v1`; this slmc reads `slmc.dev/v1alpha1`."),
        ("SLM210", "a:2:7", "`kind` is not text; this slmc reads `Blueprint`."),
        ("SLM201", "a:4:1", "`zzz` is not a key of the file."),
    ]
    assert (blueprint.recipes, blueprint.complete) == ({}, False)


def test_a_missing_envelope() -> None:
    document, _ = parse(b"recipes:\n  a: {steps: [{kind: optimize}]}\n", "a")
    assert document is not None
    blueprint, diagnostics = merge([document])
    assert [(one.code.id, str(one.span), one.message) for one in diagnostics] == [
        ("SLM204", "a:1:1", "The file lacks `apiVersion`."),
        ("SLM204", "a:1:1", "The file lacks `kind`."),
    ]
    assert blueprint.recipes == {"a": OPTIMIZE}


def test_a_file_that_cannot_be_read_leaves_the_blueprint_incomplete(tmp_path: Path) -> None:
    (tmp_path / "a.slmc.yaml").write_text("recipes: [\n")
    (tmp_path / "b.slmc.yaml").write_text(HEAD + "recipes:\n  b: {steps: [{kind: optimize}]}\n")
    documents, diagnostics = read_all(tmp_path)
    assert [one.code for one in diagnostics] == [Code.YAML_SYNTAX]
    assert documents[0] == Document(Source("a.slmc.yaml", ""), Mapping(), complete=False)
    blueprint, of_merge = merge(documents)
    assert of_merge == []
    assert (blueprint.recipes, blueprint.complete) == ({"b": OPTIMIZE}, False)


def test_the_sections_are_the_format_s() -> None:
    sections = {str(field.alias): name for name, field in BlueprintSpec.model_fields.items()}
    assert set(sections) - {"apiVersion", "kind"} == set(SECTIONS)
    assert set(EnvelopeSpec.model_fields) == set(BlueprintSpec.model_fields)
    assert set(sections.values()) & {"models", "recipes", "device_classes", "fleets"} <= set(Blueprint.__slots__)
