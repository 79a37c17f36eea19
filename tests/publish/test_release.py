"""Release files: which are written, and what is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from compiler.base.diagnostics import Stop
from compiler.cli.main import run
from tests.publish.shelf import found, told
from tests.publish.yard import ALL, FIRST, NOW, PLAIN, SHARDED, Yard, verified, write_files
from tests.tree import tree


def test_every_bundle_gets_a_release_that_devices_verify(yard: Yard) -> None:
    assert yard.release() == dict.fromkeys(ALL, "create")
    assert set(tree(yard.workspace / "releases")) == {
        f"{folder}/{name}" for folder in ALL for name in ("release", "release.sig")
    }
    assert (yard.workspace / "releases/stores/cohorts/3/till-1/systemd/release").read_text() == (
        "format slmc-release-1\n"
        "fleet stores\n"
        "cohort till-1\n"
        "target systemd\n"
        f"bundle {yard.bundle('stores/cohorts/3/till-1/systemd')}\n"
        f"serial {FIRST}\n"
        "expires 2027-02-23T12:00:00Z\n"
    )
    assert all(verified(yard, folder) for folder in ALL)


def test_a_changed_byte_another_namespace_and_another_release_are_refused(yard: Yard) -> None:
    yard.release()
    data = (yard.workspace / "releases" / PLAIN[0] / "release").read_bytes()
    assert not any(
        verified(yard, PLAIN[0], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) for at in range(0, len(data), 40)
    )
    assert not verified(yard, PLAIN[0], namespace="file")
    assert not verified(yard, PLAIN[0], (yard.workspace / "releases" / PLAIN[1] / "release").read_bytes())


def test_what_has_not_changed_stays_byte_for_byte(yard: Yard) -> None:
    yard.release()
    before = tree(yard.workspace / "releases")
    assert yard.release(NOW + timedelta(days=200)) == {}
    assert tree(yard.workspace / "releases") == before


def test_a_serial_grows_by_one_with_the_bundle(yard: Yard) -> None:
    yard.release()
    before = tree(yard.workspace / "releases")
    later = NOW + timedelta(days=1)
    yard.deploy(*ALL, note="new")
    old = yard.parsed(PLAIN[0])
    assert yard.release(later, fleets=frozenset({"vans", "stores"})) == {
        folder: "change" for folder in ALL if folder != PLAIN[0] and folder != PLAIN[1]
    }
    assert tree(yard.workspace / "releases" / "shops") == {
        name.removeprefix("shops/"): data for name, data in before.items() if name.startswith("shops/")
    }
    assert yard.release(later) == {PLAIN[0]: "change", PLAIN[1]: "change"}
    new = replace(old, bundle=yard.bundle(PLAIN[0]), serial=FIRST + 1, expires=later + timedelta(days=90))
    assert yard.parsed(PLAIN[0]) == new
    assert all(verified(yard, folder) for folder in ALL)


def test_renewing_gives_a_new_serial_and_expiry_to_what_has_not_changed(yard: Yard) -> None:
    yard.release(lifetime=timedelta(hours=1))
    old = yard.parsed(PLAIN[2])
    later = NOW + timedelta(days=3)
    assert yard.release(later, renew=True, fleets=frozenset({"vans"})) == {PLAIN[2]: "renew"}
    assert yard.parsed(PLAIN[2]) == replace(old, serial=FIRST + 1, expires=later + timedelta(days=90))


def test_a_cohort_that_comes_back_does_not_begin_below_what_devices_have_seen(yard: Yard) -> None:
    yard.release()
    yard.deploy(*ALL, note="new")
    yard.release(renew=True)
    seen = yard.parsed(PLAIN[2]).serial
    yard.deploy(*(folder for folder in ALL if folder != PLAIN[2]), note="new")
    assert yard.release() == {PLAIN[2]: "remove"}
    assert not (yard.workspace / "releases" / "vans").exists()
    yard.deploy(*ALL, note="new")
    assert yard.release(NOW + timedelta(minutes=1)) == {PLAIN[2]: "create"}
    assert yard.parsed(PLAIN[2]).serial > seen


def test_only_slmc_s_own_files_go(yard: Yard) -> None:
    yard.release()
    root = yard.workspace / "releases"
    foreign = {
        "README": b"mine",
        "old/box/systemd/release": b"format other\n",
        "old/box/systemd/release.sig": b"mine",
        "vans/box/systemd/notes": b"mine",
    }
    write_files(root, foreign)
    yard.deploy(*(folder for folder in ALL if folder != PLAIN[2]))
    assert yard.release() == {PLAIN[2]: "remove"}
    left = tree(root)
    assert {name: left[name] for name in foreign} == foreign
    assert not {name for name in left if name.startswith("vans/")} - {"vans/box/systemd/notes"}


@pytest.mark.parametrize("name", ["release", "release.sig"])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "parent"])
def test_foreign_files_in_the_way_are_an_error(
    yard: Yard, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = yard.workspace / "releases" / PLAIN[0] / name
    if kind == "parent":
        write_files(path.parent.parent, {path.parent.name: b"mine"})
    elif kind == "folder":
        path.mkdir(parents=True)
    else:
        write_files(path.parent, {})
        path.parent.mkdir(parents=True)
        if kind == "link":
            write_files(yard.workspace, {"elsewhere": b"format slmc-release-1\n"})
            path.symlink_to(yard.workspace / "elsewhere")
        else:
            path.write_bytes(b"mine")
    before = tree(yard.workspace)
    said = told(capsys, "release", "--key", str(yard.key), str(yard.workspace))
    assert found(said) == [("SLM804", str(path.parent if kind == "parent" else path))]
    assert tree(yard.workspace) == before


@pytest.mark.parametrize("name", ["unit.service", "sub/artifacts.json", "SHA256SUMS"])
@pytest.mark.parametrize("folder", [PLAIN[0], SHARDED[0]])
def test_a_bundle_that_is_not_what_the_lock_says_is_not_signed(
    yard: Yard, folder: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = yard.workspace / "deploy" / folder / name
    for damage in (lambda: path.write_bytes(path.read_bytes() + b"#"), path.unlink):
        damage()
        said = told(capsys, "release", "--key", str(yard.key), str(yard.workspace))
        assert found(said) == [("SLM814", str(path))]
        assert not (yard.workspace / "releases").exists()


def test_sums_of_shards_are_compared_too(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    path = yard.workspace / "deploy" / "stores" / "cohorts" / "3" / "SHA256SUMS"
    path.write_text(path.read_text().replace("till-1", "till-9"))
    said = told(capsys, "release", "--key", str(yard.key), str(yard.workspace))
    assert found(said) == [("SLM814", str(path))]


def test_check_says_what_is_missing_and_what_is_badly_signed(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    def check() -> dict[str, list[str]]:
        said = told(capsys, "release", "--check", str(yard.workspace))
        assert said["exitCode"] == (3 if any(one["verb"] != "keep" or _bad(one) for one in said["releases"]) else 0)
        verbs = {one["path"]: one["verb"] for one in said["releases"] if one["verb"] != "keep"}
        return {"verbs": sorted(verbs.values()), "bad": [one["path"] for one in said["releases"] if _bad(one)]}

    assert check() == {"verbs": ["create"] * 5, "bad": []}
    assert not (yard.workspace / "releases").exists()
    assert run(["release", "--key", str(yard.key), str(yard.workspace)]) == 0
    assert check() == {"verbs": [], "bad": []}
    one, other = (yard.workspace / "releases" / folder / "release.sig" for folder in PLAIN[:2])
    one.write_bytes(other.read_bytes())
    assert check() == {"verbs": [], "bad": [f"releases/{PLAIN[0]}"]}
    one.unlink()
    assert check() == {"verbs": ["sign"], "bad": []}


def _bad(one: dict[str, Any]) -> bool:
    return bool(one.get("signatureBad") or one.get("expired"))


def test_an_expired_release_fails_the_check(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.release(NOW - timedelta(days=100), fleets=frozenset({"vans"}))
    said = told(capsys, "release", "--check", "--fleet", "vans", str(yard.workspace))
    assert (said["exitCode"], [one["expired"] for one in said["releases"]]) == (3, [True])


def test_a_missing_signature_is_made_for_the_same_release(yard: Yard) -> None:
    yard.release()
    before = tree(yard.workspace / "releases")
    (yard.workspace / "releases" / PLAIN[0] / "release.sig").unlink()
    assert yard.release(NOW + timedelta(days=1)) == {PLAIN[0]: "sign"}
    assert tree(yard.workspace / "releases") == before  # ed25519 is deterministic


@pytest.mark.parametrize("step", range(1, 8))
def test_a_run_that_is_killed_leaves_nothing_that_verifies_and_is_wrong(
    yard: Yard, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops before each of the writes in turn; what is there then, devices take only if it is whole."""
    from compiler.base import files

    yard.release()
    yard.deploy(*ALL, note="new")
    left = [step]

    def counting(real: Any) -> Any:
        def call(*arguments: Any) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            real(*arguments)

        return call

    with monkeypatch.context() as here:
        here.setattr(files, "write", counting(files.write))
        here.setattr(files, "remove", counting(files.remove))
        with pytest.raises(KeyboardInterrupt):
            yard.release()
    signed = [folder for folder in ALL if (yard.workspace / "releases" / folder / "release.sig").exists()]
    assert all(verified(yard, folder) for folder in signed)
    yard.release()
    assert {yard.parsed(folder).bundle for folder in ALL} == {yard.bundle(folder) for folder in ALL}
    assert {yard.parsed(folder).serial for folder in ALL} == {FIRST + 1}
    assert all(verified(yard, folder) for folder in ALL)


def test_a_release_in_conflict_goes_on_from_the_larger_serial(yard: Yard) -> None:
    yard.release()
    path = yard.workspace / "releases" / PLAIN[0] / "release"
    data = path.read_text()
    ours = f"serial {FIRST + 7}\nexpires 2027-02-23T12:00:00Z\n"
    theirs = f"serial {FIRST + 9}\nexpires 2027-02-24T12:00:00Z\n"
    conflict = f"<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> main\n"
    path.write_text(data.replace(data[data.index("serial") :], conflict))
    assert yard.release() == {PLAIN[0]: "change"}
    assert yard.parsed(PLAIN[0]).serial == FIRST + 10


def test_a_name_with_a_line_feed_adds_no_line(yard: Yard) -> None:
    yard.deploy("vans/box\nserial 9/systemd")
    with pytest.raises(Stop) as stop:
        yard.release()
    assert [one.code.id for one in stop.value.diagnostics] == ["SLM802"]
    assert not (yard.workspace / "releases").exists()


def test_an_unknown_fleet_is_said(yard: Yard) -> None:
    with pytest.raises(Stop) as stop:
        yard.release(fleets=frozenset({"van"}))
    assert [(one.code.id, one.help) for one in stop.value.diagnostics] == [("SLM203", "`vans` has a similar name.")]


@pytest.mark.parametrize("arguments", [[], ["--key", "k", "--expires", "90"], ["--key", "k", "--expires", "0d"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str]) -> None:
    assert run(["release", *arguments]) == 2
