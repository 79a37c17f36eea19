"""The device classes that come with slmc are complete, and dated where they age."""

from __future__ import annotations

from compiler.blueprint.blueprint import Blueprint, Places
from compiler.fleet.catalogue import load
from compiler.fleet.classes import Classes, resolve_classes


def built_in() -> Classes:
    catalogue, diagnostics = load()
    assert diagnostics == []
    classes, wrong = resolve_classes(Blueprint({}, {}, {}, {}, {}, Places({})), catalogue)
    assert wrong == []
    assert classes.broken == frozenset()
    return classes


def test_names() -> None:
    assert sorted(built_in().usable) == [
        "builtin/aws-c7g-large",
        "builtin/coral-dev-board",
        "builtin/intel-n100-16g",
        "builtin/intel-n100-8g",
        "builtin/jetson-agx-orin-64g",
        "builtin/jetson-orin-nano-super",
        "builtin/raspberry-pi-4-1g",
        "builtin/raspberry-pi-4-2g",
        "builtin/raspberry-pi-4-4g",
        "builtin/raspberry-pi-4-8g",
        "builtin/raspberry-pi-5-16g",
        "builtin/raspberry-pi-5-4g",
        "builtin/raspberry-pi-5-8g",
        "builtin/raspberry-pi-zero-2w",
        "builtin/rk3588-16g",
        "builtin/rk3588-32g",
        "builtin/rk3588-4g",
        "builtin/rk3588-8g",
        "builtin/snapdragon-x-16g",
    ]


def test_memory_is_what_the_name_says() -> None:
    sizes = {name.rpartition("-")[2]: hardware.memory for name, hardware in built_in().usable.items()}
    said = {words: size for words, size in sizes.items() if words.endswith("g") and words[:-1].isdigit()}
    assert said == {words: int(words[:-1]) * 2**30 for words in ("1g", "2g", "4g", "8g", "16g", "32g", "64g")}


def test_every_fact_names_its_source() -> None:
    catalogue, _ = load()
    roots = [spec for spec in catalogue.values() if spec.extends is None]
    assert roots
    assert all(spec.source for spec in roots)
    assert all(spec.price.date and spec.price.source for spec in catalogue.values() if spec.price)
