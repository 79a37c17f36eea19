"""Compiling a part of a workspace: what it writes, and that it changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.bundle import bundles
from compiler.cli.main import run
from compiler.lock.text import read
from tests.shop import Shop
from tests.tree import generated


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Three sites, of which `site-1` and `site-2` have cohorts of their own; a second fleet `depots` beside."""
    shop = Shop(tmp_path / "shop")
    shop.overlays = {"site-1": 2, "site-2": 1}
    (shop.folder / "depots.slmc.yaml").write_text(
        "apiVersion: slmc.dev/v1alpha1\nkind: Blueprint\nfleets:\n  depots:\n    inventory: inventory/depots.csv\n"
        "    runs: {counter: {model: pydoc@1.0.0, recipe: int8-fast, serve: {command: [/usr/bin/server]}}}\n"
        "    targets: [systemd]\n"
    )
    (shop.folder / "inventory" / "depots.csv").write_text("id,class\ndepot-1,office-n100\n")
    shop.write()
    return shop


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(path for path in before | after if before.get(path) != after.get(path))


def test_a_fleet_alone(shop: Shop) -> None:
    """Its bundles and its index; the other fleet, also edited, stays as it was, in the lock too."""
    before = shop.compile()
    shop.overlays = {"site-1": 3}
    shop.devices["till-9"] = ("counter-pi", "site-0")
    shop.write()
    depots = shop.folder / "depots.slmc.yaml"
    depots.write_text(depots.read_text().replace("/usr/bin/server", "/usr/bin/other"))
    assert run(["compile", str(shop.folder), "--fleet", "shops"]) == 0
    after = generated(shop.folder)
    assert {path.split("/")[1] for path in changed(before, after) if path != "slmc.lock"} == {"shops"}
    assert "deploy/shops/counter-pi-site-2/systemd/SHA256SUMS" not in after
    assert b"till-9" in after["deploy/shops/devices.csv"]
    assert shop.compile() == shop.compile_clean(shop.folder.parent / "clean")


@pytest.mark.parametrize("flat", [256, 1])
def test_devices_that_match(shop: Shop, flat: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundles of their cohorts; no index, no removal, no other cohort."""
    monkeypatch.setattr(bundles, "FLAT", flat)
    before = shop.compile()
    shop.overlays = {"site-1": 3}
    shop.write()
    assert run(["compile", str(shop.folder), "--match", "site=site-1"]) == 0
    after = generated(shop.folder)
    assert {path.split("/")[-3] for path in changed(before, after) if path.endswith(".service")} == {
        "counter-pi-site-1"
    }
    assert after.keys() == before.keys()
    assert after["deploy/shops/devices.csv"] == before["deploy/shops/devices.csv"]
    assert run(["compile", "--check", str(shop.folder)]) == 3
    assert shop.compile() == shop.compile_clean(shop.folder.parent / "clean")


def test_a_part_that_is_current_is_not_written(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    before = shop.compile()
    capsys.readouterr()
    assert run(["compile", str(shop.folder), "--cohort", "counter-pi-site-1"]) == 0
    output = capsys.readouterr()
    assert "Nothing to write" in output.out
    assert output.err == ""
    assert generated(shop.folder) == before


def test_a_part_of_a_fleet_never_compiled(shop: Shop) -> None:
    """A quick look: the bundles are there, the next whole compile adds the rest."""
    assert run(["compile", str(shop.folder), "--match", "site=site-2"]) == 0
    folders = {"/".join(path.split("/")[:3]) for path in generated(shop.folder)}
    assert folders == {"deploy/shops/counter-pi-site-2", "deploy/shops/office-n100", "slmc.lock"}
    assert shop.compile() == shop.compile_clean(shop.folder.parent / "clean")


def test_a_name_that_nothing_has(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(shop.folder), "--match", "site=site-7"]) == 1
    assert "SLM203 unknown-reference" in capsys.readouterr().err
    assert generated(shop.folder) == {}


def test_a_part_has_the_choices_that_the_whole_has(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """One device of the class has room for the small artifact only: that counts where it is not selected, too."""
    roomy, tight = "", "7697MiB"
    inventory = shop.folder / "inventory" / "shops.csv"
    rows = "".join(f"till-{n},counter-pi,site-{n},{storage}\n" for n, storage in ((0, roomy), (1, tight)))
    inventory.write_text(f"id,class,site,storage\n{rows}office-1,office-n100,site-1,\n")
    text = shop.text[: shop.text.index("    # Other values for some devices")]
    text = text.replace("recipe: int4-small", "recipe: {choose: [int8-fast, int4-small], minimize: size}")
    (shop.folder / "hello.slmc.yaml").write_text(f"{text}    columns: {{storage: fact.storage}}\n")
    assert run(["compile", str(shop.folder), "--cohort", "counter-pi"]) == 0
    part, _ = read(shop.folder / "slmc.lock")
    assert {path.split("/")[1] for path in part.bundles} == {"counter-pi"}
    assert set(part.artifacts) == {"pydoc-1.0.0-int8-fast", "pydoc-1.0.0-int4-small"}
    [decision] = part.decisions
    assert [one.dropped for one in decision.candidates] == [
        "it needs 5.0 MiB of storage, and 3.6 MiB are there", "",
    ]  # fmt: skip
    shop.compile()
    whole, _ = read(shop.folder / "slmc.lock")
    assert whole.decisions == part.decisions
    for mode in ("--locked", "--check"):
        assert run(["compile", str(shop.folder), mode, "--match", "site=site-0"]) == 0
    assert read(shop.folder / "slmc.lock")[0] == whole
