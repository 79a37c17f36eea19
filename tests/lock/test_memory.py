"""What a compile may skip because the last one saw it, and what it may not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from compiler import pipeline
from compiler.cli.main import run
from compiler.lock.inputs import Inputs
from compiler.lock.memory import FOLDER
from tests.shop import Shop
from tests.tree import generated


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what ran: a stage that resolves, and the bundles that were rendered."""
    ran: list[str] = []

    def noted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            ran.append(name)
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    noted(pipeline, "resolve")
    from compiler.bundle.render import _Rendering

    noted(_Rendering, "bundle")
    return ran


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "shop")
    settle(shop)
    return shop


def settle(shop: Shop) -> None:
    """Compile until the inputs are older than a tick of the clock, so that their times can be trusted."""
    shop.compile()
    time.sleep(0.03)
    shop.compile()


def test_nothing_runs_when_nothing_changed(shop: Shop, stages: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(["compile", str(shop.folder)])
    said = capsys.readouterr().out
    assert stages == []
    assert said.startswith("artifact ")
    assert said.endswith("are up to date.\n")


def test_check_has_a_summary_of_its_own(shop: Shop, stages: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", "--check", str(shop.folder)]) == 0
    said = capsys.readouterr().out
    assert stages == ["resolve"]
    assert run(["compile", "--check", str(shop.folder)]) == 0
    assert stages == ["resolve"]
    assert capsys.readouterr().out == said


def test_only_what_an_edit_reaches_is_rendered(shop: Shop, stages: list[str]) -> None:
    shop.overlays = {"site-1": 3}
    shop.write()
    shop.compile()
    assert stages == ["resolve", "bundle"]


def test_a_file_with_its_old_times_is_seen(shop: Shop, stages: list[str]) -> None:
    path = shop.folder / "deploy/shops/counter-pi/systemd/slmc-counter.service"
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content.replace(b"Restart", b"restart", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    shop.compile()
    assert path.read_bytes() == content
    assert stages == ["resolve", "bundle"]


def test_a_foreign_file_stays_and_costs_one_look(shop: Shop, stages: list[str]) -> None:
    notes = shop.folder / "deploy/shops/counter-pi/systemd/notes"
    notes.write_text("mine")
    shop.compile()
    assert stages == ["resolve", "bundle"]
    shop.compile()
    assert stages == ["resolve", "bundle"]
    assert notes.read_text() == "mine"


def test_a_folder_that_a_link_leads_to_may_be_another_one(shop: Shop, tmp_path: Path) -> None:
    inventory = shop.folder / "inventory"
    for year, devices in (("2025", 5), ("2026", 4)):
        (inventory / year).mkdir()
        lines = (inventory / "shops.csv").read_text().splitlines()[: devices + 1]
        (inventory / year / "shops.csv").write_text("".join(f"{line}\n" for line in lines))
    (inventory / "now").symlink_to("2025")
    shop.text = shop.text.replace("inventory/shops.csv", "inventory/now/shops.csv")
    shop.targets = ["container"]
    shop.write()
    settle(shop)
    (inventory / "now").unlink()
    (inventory / "now").symlink_to("2026")
    assert shop.compile() == shop.compile_clean(tmp_path / "clean")


def test_a_folder_with_a_dot_is_read_when_the_blueprint_says_so(shop: Shop, tmp_path: Path) -> None:
    hidden = shop.folder / ".inventory"
    (shop.folder / "inventory").rename(hidden)
    shop.text = shop.text.replace("inventory/shops.csv", ".inventory/shops.csv")
    (shop.folder / "inventory").symlink_to(".inventory")  # for `write`, which knows no other
    shop.write()
    settle(shop)
    (shop.folder / "inventory").unlink()
    settle(shop)
    rows = (hidden / "shops.csv").read_text().splitlines(keepends=True)
    (hidden / "shops.csv").write_text("".join(rows[:-1]))
    assert shop.compile() == shop.compile_clean(tmp_path / "clean")


@pytest.mark.parametrize("name", [".github/notes.jsonl", ".gitdata/x", ".gitignore"])
def test_only_git_s_own_folder_is_not_looked_at(tmp_path: Path, name: str) -> None:
    for path in (name, ".git/HEAD", "sub/.git/HEAD", ".slmc-tmp-abc/half"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("1")
    assert list(Inputs.look(tmp_path, []).files) == [name]


def test_an_edit_in_a_folder_of_a_forge_is_seen(shop: Shop, stages: list[str]) -> None:
    notes = shop.folder / ".github" / "calibration.jsonl"
    notes.parent.mkdir()
    notes.write_text("{}")
    settle(shop)
    stages.clear()
    notes.write_text('{"text": "other"}')
    shop.compile()
    assert stages == ["resolve"]


@pytest.mark.slow  # it builds anew
def test_a_workspace_that_is_its_own_store(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLMC_STORE", str(shop.folder))
    settle(shop)
    shop.overlays = {}
    shop.write()
    found = shop.compile()
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    assert found == shop.compile_clean(tmp_path / "clean")


def test_another_compile_in_between_is_not_taken_for_this_one(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(seconds: float) -> None:
        patched.undo()
        shop.overlays = {"site-1": 1}
        shop.write()
        shop.compile()

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", other)
        shop.overlays = {"site-1": 3}
        shop.write()
        shop.compile()
    shop.overlays = {"site-1": 3}
    shop.write()
    assert shop.compile() == shop.compile_clean(tmp_path / "clean")


def test_what_a_killed_run_left_goes(shop: Shop) -> None:
    before = generated(shop.folder)
    (shop.folder / "deploy" / ".slmc-tmp-abc").mkdir()
    (shop.folder / "deploy" / ".slmc-tmp-abc" / "half").write_text("half")
    assert shop.compile() == before


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"stamp": 3}', "\0" * 50])
def test_a_damaged_memory_is_no_memory(shop: Shop, damage: str) -> None:
    before = generated(shop.folder)
    for memory in (Path(os.environ["SLMC_STORE"]) / FOLDER).iterdir():
        memory.write_text(damage)
    assert shop.compile() == before


def test_warnings_come_again(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.overlays = {"site-1": 2, "site-5": 3}
    shop.write()
    settle(shop)
    capsys.readouterr()
    shop.compile()
    assert "SLM307 overlay-unused" in capsys.readouterr().err


def test_two_workspaces_do_not_share_a_memory(shop: Shop, tmp_path: Path) -> None:
    other = Shop(tmp_path / "other")
    other.overlays = {}
    other.write()
    other.compile()
    assert shop.compile() == shop.compile_clean(tmp_path / "clean")
