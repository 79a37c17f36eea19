"""Release files: which are written, what is in them, who signed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from compiler.base.diagnostics import Stop
from compiler.bundle.manifest import sums
from compiler.bundle.shards import chain
from compiler.cli.main import run
from compiler.lock import text
from compiler.lock.lock import Lock
from compiler.publish import signing
from compiler.publish.release import NAMESPACE, Release, last_serial, parse
from compiler.publish.releasing import Releases, Terms
from tests.publish.shelf import found, told
from tests.tools import tool
from tests.tree import tree

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FIRST = int(NOW.timestamp())
PLAIN = ("shops/counter-pi/systemd", "shops/counter-pi/compose", "vans/box/systemd")
SHARDED = ("stores/cohorts/3/till-1/systemd", "stores/cohorts/a/till-2/systemd")
ALL = sorted(PLAIN + SHARDED)
GOOD = b"format slmc-release-1\nfleet a\ncohort b\ntarget c\nbundle d\nserial 1\nexpires 2027-02-23T00:00:00Z\n"


@dataclass(frozen=True)
class Yard:
    """A workspace with bundles, and a key outside of it."""

    workspace: Path
    key: Path

    def deploy(self, *folders: str, note: str = "") -> None:
        """Write bundles and the lock; `note` is part of each."""
        plain, sharded, ids = dict[str, str](), dict[str, str](), dict[str, str]()
        for folder in folders:
            files = {"unit.service": f"{folder} {note}".encode(), "sub/artifacts.json": b"{}"}
            files["SHA256SUMS"] = sums(files)
            ids[folder] = sha256(files["SHA256SUMS"]).hexdigest()
            _write(self.workspace / "deploy" / folder, files)
            if folder.startswith("stores/"):
                sharded[f"{folder.removeprefix('stores/cohorts/')}/SHA256SUMS"] = ids[folder]
            else:
                plain[folder] = f"sha256:{ids[folder]}"
        if sharded:
            outer = chain("stores/cohorts", sharded, 1)
            _write(self.workspace / "deploy", outer)
            plain["stores/cohorts"] = f"sha256:{sha256(outer['stores/cohorts/SHA256SUMS']).hexdigest()}"
        (self.workspace / text.NAME).write_bytes(text.dump(Lock(bundles=plain)))

    def release(self, now: datetime = NOW, **terms: Any) -> dict[str, str]:
        """What it did with each release, but for those that stay as they are."""
        releases = Releases(self.workspace, Terms(now, **({"lifetime": timedelta(days=90)} | terms)))
        lock, _ = text.read(self.workspace / text.NAME)
        steps = releases.plan(lock)
        releases.write(steps, self.key)
        return {step.folder: step.verb.value for step in steps if step.pending}

    def bundle(self, folder: str) -> str:
        return sha256((self.workspace / "deploy" / folder / "SHA256SUMS").read_bytes()).hexdigest()

    def parsed(self, folder: str) -> Release:
        release = parse((self.workspace / "releases" / folder / "release").read_bytes())
        assert release is not None
        return release


def _write(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def make_key(path: Path, passphrase: str = "") -> Path:
    command = [tool("ssh-keygen"), "-q", "-t", "ed25519", "-C", "", "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    found = Yard(workspace, make_key(tmp_path / "key"))
    found.deploy(*ALL)
    return found


def verified(yard: Yard, folder: str, release: bytes | None = None, namespace: str = NAMESPACE) -> bool:
    """Whether a device that trusts the key takes the release."""
    signers = yard.workspace.parent / "allowed_signers"
    signers.write_text(f"release {yard.key.with_suffix('.pub').read_text()}")
    at = yard.workspace / "releases" / folder
    command = [tool("ssh-keygen"), "-Y", "verify", "-f", str(signers), "-I", "release", "-n", namespace]
    data = (at / "release").read_bytes() if release is None else release
    done = subprocess.run([*command, "-s", str(at / "release.sig")], input=data, capture_output=True, check=False)
    return done.returncode == 0


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
    _write(root, foreign)
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
        _write(path.parent.parent, {path.parent.name: b"mine"})
    elif kind == "folder":
        path.mkdir(parents=True)
    else:
        _write(path.parent, {})
        path.parent.mkdir(parents=True)
        if kind == "link":
            _write(yard.workspace, {"elsewhere": b"format slmc-release-1\n"})
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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"format slmc-release-1\n",
        GOOD.replace(b"T00:00:00Z", b""),
        GOOD.replace(b"serial 1", b"serial 01"),
        GOOD + b"more d\n",
        GOOD.replace(b"\n", b"\r\n"),
    ],
)
def test_what_is_no_release(data: bytes) -> None:
    assert parse(GOOD) is not None
    assert parse(data) is None


def test_serials_beyond_what_a_shell_counts_are_passed_over() -> None:
    assert last_serial(b"serial 99999999999999999999\nserial 5\nserial x\n") == 5


def failed(capsys: pytest.CaptureFixture[str], yard: Yard, key: Path) -> tuple[str, str]:
    """Code and sentence of the one finding; nothing was written."""
    before = tree(yard.workspace)
    said = told(capsys, "release", "--key", str(key), str(yard.workspace))
    assert tree(yard.workspace) == before
    [one] = said["diagnostics"]
    return one["code"], one["message"]


def test_keys_that_cannot_sign(
    yard: Yard, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = make_key(tmp_path / "locked", "secret")
    assert failed(capsys, yard, locked) == ("SLM815", f"`{locked}` is locked with a passphrase.")
    assert failed(capsys, yard, tmp_path / "absent") == ("SLM815", f"There is no key `{tmp_path / 'absent'}`.")
    (tmp_path / "text").write_text("no key")
    (tmp_path / "text").chmod(0o600)
    assert failed(capsys, yard, tmp_path / "text") == ("SLM815", f"`{tmp_path / 'text'}` is not an SSH key.")
    yard.key.chmod(0o644)
    assert failed(capsys, yard, yard.key) == ("SLM815", f"Others may read `{yard.key}`, so `ssh-keygen` does not.")
    yard.key.chmod(0o600)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert failed(capsys, yard, yard.key) == ("SLM815", "`ssh-keygen` does not run: No such file or directory.")


@pytest.mark.parametrize("linked", [False, True])
def test_a_key_in_the_workspace_is_refused(yard: Yard, linked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    inside = yard.workspace / "keys" / "release"
    inside.parent.mkdir()
    yard.key.rename(inside)
    if linked:
        yard.key.symlink_to(inside)
    code, message = failed(capsys, yard, yard.key if linked else inside)
    assert (code, "no key" in message) == ("SLM816", False)


def test_an_agent_signs_for_a_key_with_a_passphrase(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = subprocess.Popen([tool("ssh-agent"), "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        for _ in range(500):
            if (tmp_path / "agent").exists():
                break
            subprocess.run(["sleep", "0.01"], check=True)
        subprocess.run([tool("ssh-add"), "-q", str(yard.key)], check=True)
        change = [tool("ssh-keygen"), "-q", "-p", "-P", "", "-N", "secret", "-f", str(yard.key)]
        subprocess.run(change, check=True, capture_output=True)
        assert yard.release() == dict.fromkeys(ALL, "create")
    finally:
        agent.terminate()
        agent.wait()
    assert all(verified(yard, folder) for folder in ALL)


def test_many_are_signed_by_few_processes(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_AT_ONCE", 2)
    contents = [b"%d" % number for number in range(5)]
    signatures = signing.sign(yard.key, "numbers", contents)
    assert [signing.is_signed("numbers", data, made) for data, made in zip(contents, signatures, strict=True)] == [
        True
    ] * 5
    assert not signing.is_signed("numbers", contents[1], signatures[0])


def test_an_unknown_fleet_is_said(yard: Yard) -> None:
    with pytest.raises(Stop) as stop:
        yard.release(fleets=frozenset({"van"}))
    assert [(one.code.id, one.help) for one in stop.value.diagnostics] == [("SLM203", "`vans` has a similar name.")]


@pytest.mark.parametrize("arguments", [[], ["--key", "k", "--expires", "90"], ["--key", "k", "--expires", "0d"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str]) -> None:
    assert run(["release", *arguments]) == 2
