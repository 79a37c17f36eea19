"""A compile that reads and writes only what changed gives what a clean one gives, whatever was edited before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import delta, pipeline
from compiler.bundle import bundles, index
from compiler.lock import memory, world
from tests.shop import CLASSES, SITES, Shop


@pytest.fixture
def in_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few cohorts and devices are many, and files are as old as they say."""
    monkeypatch.setattr(world, "LARGE", 1)
    monkeypatch.setattr(memory, "_TICK", 0)
    monkeypatch.setattr(bundles, "FLAT", 2)
    monkeypatch.setattr(bundles, "PER_SHARD", 1)
    monkeypatch.setattr(index, "PER_SHARD", 3)


devices = st.tuples(st.just("device"), st.integers(0, 11), st.sampled_from(CLASSES), st.sampled_from(SITES))
values = st.tuples(st.just("memory"), st.integers(0, 11), st.sampled_from(["", "1GiB", "2GiB", "3GiB"]))
removals = st.tuples(st.just("remove"), st.integers(0, 11))
overlays = st.tuples(st.just("overlay"), st.sampled_from(SITES), st.integers(0, 4))
targets = st.tuples(st.just("targets"), st.sampled_from([["systemd"], ["container"], ["systemd", "container"]]))
harm = st.tuples(st.just("harm"), st.sampled_from(["edit", "truncate", "remove", "lock"]), st.integers(0, 1000))
edits = st.lists(st.one_of(devices, values, removals, overlays, targets, harm), min_size=1, max_size=6)


def edit(shop: Shop, what: tuple[object, ...]) -> None:
    match what:
        case ("device", int(number), str(kind), str(site)):
            shop.devices[f"till-{number}"] = (kind, site)
        case ("memory", int(number), str(limit)):
            shop.memory[f"till-{number}"] = limit
        case ("remove", int(number)) if len(shop.devices) > 1:
            shop.devices.pop(f"till-{number}", None)
        case ("overlay", str(site), int(threads)):
            shop.overlays.pop(site, None)
            if threads:
                shop.overlays[site] = threads
        case ("targets", list(names)):
            shop.targets = names
        case ("harm", "lock", int()):
            (shop.folder / "slmc.lock").unlink(missing_ok=True)
        case ("harm", str(kind), int(number)):
            harmed(shop.folder / "deploy", kind, number)
    shop.write()


def harmed(deploy: Path, kind: str, number: int) -> None:
    """Someone edits the output by hand. Sums stay: without them nobody knows whose a file is."""
    files = sorted(path for path in deploy.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    if not files:
        return
    path = files[number % len(files)]
    if kind == "remove":
        path.unlink()
        return
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(b"" if kind == "truncate" else data[:-1] + b"#")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as an editor that keeps times would


@pytest.mark.usefixtures("in_shards")
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(steps=edits)
def test_any_edits_come_to_what_a_clean_compile_gives(steps: list[tuple[object, ...]], tmp_path: Path) -> None:
    _edit_and_compare(steps, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("in_shards")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=edits)
def test_many_edits_come_to_what_a_clean_compile_gives(steps: list[tuple[object, ...]], tmp_path: Path) -> None:
    _edit_and_compare(steps, tmp_path)


def _edit_and_compare(steps: list[tuple[object, ...]], folder: Path) -> None:
    shutil.rmtree(folder / "shop", ignore_errors=True)
    shop = Shop(folder / "shop")
    shop.compile()
    for what in steps:
        edit(shop, what)
        assert shop.compile() == shop.compile_clean(folder / "clean")


def test_an_edited_row_takes_the_short_way(tmp_path: Path, in_shards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that changes a value does; one whose effect depends on other devices does not. All give the clean result."""
    shop = Shop(tmp_path / "shop")
    shop.devices |= {f"till-{number}": ("counter-pi", "site-1") for number in range(5, 40)}
    shop.write()
    shop.compile()
    took: list[bool] = []
    attempt = delta.attempt

    def noted(*arguments: Any) -> Any:
        found = attempt(*arguments)
        took.append(found is not None)
        return found

    monkeypatch.setattr(pipeline, "attempt", noted)
    for edit_row, short in (
        (lambda: shop.memory.update({"till-7": "3GiB"}), True),
        (lambda: shop.memory.update({"till-7": "2GiB"}), True),
        (lambda: shop.devices.update({"till-8": ("counter-pi", "site-0")}), True),
        (lambda: shop.devices.update({"till-50": ("counter-pi", "site-1")}), True),
        (lambda: shop.devices.pop("till-9"), True),
        (lambda: shop.devices.update({"till-51": ("counter-pi", "site-4")}), True),
        (lambda: shop.devices.pop("office-1"), False),  # no device of that class is left at the site
        (lambda: shop.overlays.update({"site-2": 1}), False),
    ):
        edit_row()
        shop.write()
        assert shop.compile() == shop.compile_clean(tmp_path / "clean")
        assert took[-2] is short


@pytest.mark.usefixtures("in_shards")
@pytest.mark.parametrize("lost", ["slmc.lock", "deploy/shops/cohorts/SHA256SUMS", "deploy/shops/devices/SHA256SUMS"])
@pytest.mark.parametrize("left", [11, 4, 2])
def test_what_is_stale_goes_without_what_named_it(lost: str, left: int, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.devices = {f"till-{number}": ("counter-pi", SITES[number % 6]) for number in range(12)}
    shop.overlays = {site: number + 1 for number, site in enumerate(SITES[:5])}
    shop.write()
    shop.compile()
    (shop.folder / lost).unlink()
    shop.devices = dict(list(shop.devices.items())[:left])
    shop.overlays = dict(list(shop.overlays.items())[: left - 1])
    shop.write()
    assert shop.compile() == shop.compile_clean(tmp_path / "clean")
