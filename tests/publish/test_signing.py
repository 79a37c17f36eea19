"""Keys that sign and keys that do not, and what counts as a release."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from compiler.publish import signing
from compiler.publish.release import last_serial, parse
from tests.publish.shelf import told
from tests.publish.yard import ALL, Yard, verified
from tests.ssh import make_key
from tests.tools import tool
from tests.tree import tree

GOOD = b"format slmc-release-1\nfleet a\ncohort b\ntarget c\nbundle d\nserial 1\nexpires 2027-02-23T00:00:00Z\n"


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
