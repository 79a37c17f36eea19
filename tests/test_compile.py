"""The whole path on the real example: what is written, when nothing is, and what a locked compile gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.cli.main import run
from tests.tree import generated, tree


def test_second_compile_builds_and_writes_nothing(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(hello)]) == 0
    before = {path: path.stat().st_mtime_ns for path in hello.rglob("*")}
    capsys.readouterr()
    assert run(["compile", str(hello), "--format=json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [artifact["built"] for artifact in report["artifacts"]] == [False, False]
    assert (report["changes"], report["lockChanged"]) == ([], False)
    assert {path: path.stat().st_mtime_ns for path in hello.rglob("*")} == before


def test_rebuilt_workspace_with_a_warm_store_builds_nothing(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(hello)]) == 0
    first = generated(hello)
    shutil.rmtree(hello / "deploy")
    (hello / "slmc.lock").unlink()
    capsys.readouterr()
    assert run(["compile", str(hello), "--format=json"]) == 0
    assert [artifact["built"] for artifact in json.loads(capsys.readouterr().out)["artifacts"]] == [False, False]
    assert generated(hello) == first


def test_locked_compile_needs_neither_store_nor_models(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["compile", str(hello)]) == 0
    expected = generated(hello)
    shutil.rmtree(hello / "deploy")
    shutil.rmtree(hello / "models")
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "no-store"))
    assert run(["compile", "--locked", str(hello)]) == 0
    assert generated(hello) == expected
    assert not (tmp_path / "no-store").exists()


def test_check_says_whether_the_committed_tree_is_current(hello: Path) -> None:
    assert run(["compile", "--check", str(hello)]) == 3
    assert generated(hello) == {}
    assert run(["compile", str(hello)]) == 0
    assert run(["compile", "--check", str(hello)]) == 0
    blueprint = hello / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text().replace("threads: 2", "threads: 3"))
    before = generated(hello)
    assert run(["compile", "--check", str(hello)]) == 3
    assert generated(hello) == before


def test_stale_files_go_and_foreign_files_stay(hello: Path) -> None:
    assert run(["compile", str(hello)]) == 0
    first = generated(hello)
    (hello / "deploy" / "NOTES.md").write_text("mine")
    blueprint = hello / "hello.slmc.yaml"
    text = blueprint.read_text()
    blueprint.write_text(text.replace("targets: [systemd, container, kubernetes]", "targets: [systemd]"))
    assert run(["compile", str(hello)]) == 0
    kept = {name for name in first if "/container/" not in name and "/kubernetes/" not in name}
    assert generated(hello).keys() == kept | {"deploy/NOTES.md"}
    assert not list(hello.rglob("container"))


def test_file_in_the_way_stops_the_compile(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(hello)]) == 0
    wanted = sorted(name for name in generated(hello) if name.startswith("deploy/"))
    shutil.rmtree(hello / "deploy")
    (hello / "slmc.lock").unlink()
    mine = hello / wanted[0]
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    capsys.readouterr()
    assert run(["compile", str(hello)]) == 1
    assert "SLM804" in capsys.readouterr().err
    assert generated(hello) == {wanted[0]: b"mine"}


def test_edited_file_is_put_back_with_a_warning(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(hello)]) == 0
    before = generated(hello)
    unit = next((hello / "deploy").rglob("*.service"))
    unit.write_text("edited")
    capsys.readouterr()
    assert run(["compile", str(hello)]) == 0
    assert "SLM803" in capsys.readouterr().err
    assert generated(hello) == before


def test_output_elsewhere_leaves_the_workspace_alone(hello: Path, tmp_path: Path) -> None:
    before = tree(hello)
    assert run(["compile", str(hello), "--out", str(tmp_path / "out")]) == 0
    assert tree(hello) == before
    assert run(["compile", str(hello)]) == 0
    assert generated(tmp_path / "out") == generated(hello)


def test_failed_gate_writes_nothing(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", str(hello)]) == 0
    before = generated(hello)
    blueprint = hello / "hello.slmc.yaml"
    lines = [
        "      klDivergence: {max: 0.000001}" if line.lstrip().startswith("klDivergence:") else line
        for line in blueprint.read_text().splitlines()
    ]
    blueprint.write_text("\n".join(lines) + "\n")
    capsys.readouterr()
    assert run(["compile", str(hello)]) == 4
    said = capsys.readouterr().err
    assert "SLM401" in said
    assert "klDivergence" in said
    assert "0.000001" in said or "1e-06" in said
    assert generated(hello) == before


def test_validate_imports_nothing_heavy(hello: Path) -> None:
    program = (
        "import sys; from compiler.cli.main import run; code = run(['validate', sys.argv[1]]); "
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'jinja2', 'rich', 'tokenizers'} & set(sys.modules); "
        "print(code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(hello)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


@pytest.mark.slow
def test_two_folders_and_two_hash_seeds_give_the_same_bytes(hello: Path, tmp_path: Path) -> None:
    trees = []
    for seed in ("1", "2"):
        workspace = Path(shutil.copytree(hello, tmp_path / f"seed-{seed}" / "workspace"))
        store = tmp_path / f"store-{seed}"
        environment = os.environ | {"PYTHONHASHSEED": seed, "SLMC_STORE": str(store)}
        command = [sys.executable, "-m", "compiler.cli", "compile", str(workspace)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        lock = json.loads((workspace / "slmc.lock").read_text())
        digests = {file["digest"] for artifact in lock["artifacts"].values() for file in artifact["files"]}
        blobs = {digest: (store / "blobs" / digest.replace(":", "/")).read_bytes() for digest in digests}
        trees.append((generated(workspace), blobs))
    assert trees[0] == trees[1]


def test_index_of_a_growing_fleet_is_slmc_s_own(hello: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Past 512 devices shards take the place of `devices.csv`; they go again, edited ones with a warning."""
    assert run(["compile", str(hello)]) == 0
    small = generated(hello)
    inventory = hello / "inventory" / "shops.csv"
    few = inventory.read_text()
    inventory.write_text(few + "".join(f"lyon-1-counter-{n},counter-pi,lyon-1,ground\n" for n in range(600)))
    assert run(["compile", str(hello)]) == 0
    large = generated(hello)
    shards = {f"deploy/shops/devices/{name}" for name in (*(f"{d}.csv" for d in "0123456789abcdef"), "SHA256SUMS")}
    assert large.keys() == small.keys() - {"deploy/shops/devices.csv"} | shards
    assert run(["compile", "--check", str(hello)]) == 0
    (hello / "slmc.lock").unlink()
    (hello / "deploy/shops/devices/3.csv").write_bytes(b"id,class,cohort\nmine,mine,mine\n")
    assert run(["compile", str(hello)]) == 0
    assert generated(hello) == large
    (hello / "deploy/shops/devices/4.csv").write_bytes(b"mine")
    inventory.write_text(few)
    capsys.readouterr()
    assert run(["compile", str(hello)]) == 0
    assert "`deploy/shops/devices/4.csv` differs from what slmc wrote." in capsys.readouterr().err
    assert generated(hello) == small
    assert not (hello / "deploy/shops/devices").exists()
