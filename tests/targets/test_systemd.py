"""The systemd target, read by systemd's own tools and loaded by nft."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.fleet.graph import Fleet
from tests.bundle.scenarios import NASTY, SCENARIOS, files_of
from tests.tools import absent, accepted, need_root, put, run, tool

UNIT = "slmc-chat.service"
MOST_EXPOSURE = 1.5
PROGRAMS = ("usr/lib/slmc/slm-server", "usr/lib/slmc/slmc-agent", "opt/slmc/bin/slmc-serve", "usr/sbin/nft")
AGENTS = ("slmc-rollback.service", "slmc-sync.service", "slmc-sync.timer")
MANAGER = "/lib/systemd/systemd"


def root_for(files: dict[str, bytes], folder: Path) -> Path:
    """A root file system with the bundle installed and a stub for each program that it starts."""
    for name, data in files.items():
        if name.endswith(".service"):
            put({f"etc/systemd/system/{name}": data}, folder)
    for program in PROGRAMS:
        put({program: b"#!/bin/sh\n"}, folder)
        (folder / program).chmod(0o755)
    return folder


def version() -> int:
    return int(run("systemd-analyze", "--version").stdout.split()[1])


def verify(root: Path) -> subprocess.CompletedProcess[str]:
    units = sorted(f"/{path.relative_to(root)}" for path in root.glob("etc/systemd/system/*.service"))
    assert units
    return run("systemd-analyze", "verify", "--recursive-errors=no", "--man=no", f"--root={root}", *units)


@pytest.mark.parametrize("name", SCENARIOS)
def test_verify_accepts(name: str, tmp_path: Path) -> None:
    files = files_of(SCENARIOS[name], "systemd")
    if version() < 254:  # a unit for a newer systemd has one key that this one does not know
        files = {path: data.replace(b"RestartMode=direct\n", b"") for path, data in files.items()}
    done = verify(root_for(files, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        (b"ProtectSystem=strict", b"ProtectSystems=strict"),
        (b"MemoryMax=", b"MemoryMax=plenty of "),
        (b"/usr/lib/slmc/slm-server", b"/usr/lib/slmc/other-server"),
        (b"ExecStart=", b"#ExecStart="),
    ],
)
def test_verify_refuses_a_broken_unit(written: bytes, broken: bytes, tmp_path: Path) -> None:
    files = files_of(SCENARIOS["plain"], "systemd")
    assert written in files[UNIT]
    files[UNIT] = files[UNIT].replace(written, broken)
    assert not accepted(verify(root_for(files, tmp_path)))


def exposure(unit: bytes, folder: Path) -> float:
    """The score of `systemd-analyze security`: 10 is a service without any sandbox."""
    put({UNIT: unit}, folder)
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--json=short", folder / UNIT)
    found = [float(item["exposure"] or 0) * 10 for item in json.loads(done.stdout)]
    assert found
    limit = int(MOST_EXPOSURE * 10)
    again = run("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={limit}", folder / UNIT)
    line = next(line for line in again.stdout.splitlines() if "Overall exposure level" in line)
    score = float(line.partition(": ")[2].split()[0])
    assert (again.returncode == 0) == (score <= MOST_EXPOSURE)
    return score


@pytest.mark.parametrize("name", SCENARIOS)
def test_exposure_is_low(name: str, tmp_path: Path) -> None:
    assert exposure(files_of(SCENARIOS[name], "systemd")[UNIT], tmp_path) <= MOST_EXPOSURE


def test_exposure_of_a_naked_unit_is_high(tmp_path: Path) -> None:
    assert exposure(b"[Service]\nExecStart=/usr/lib/slmc/slm-server\n", tmp_path) > 5


@pytest.mark.parametrize("name", SCENARIOS)
def test_unit_keeps_what_onnx_runtime_needs(name: str) -> None:
    """ProcSubset=pid hides the processor's features, and without @resources the process is killed."""
    for file, data in files_of(SCENARIOS[name], "systemd").items():
        if file.startswith("slmc-") and file not in AGENTS:
            settings = [line for line in data.decode().splitlines() if not line.startswith("#")]
            assert "Environment=ORT_DISABLE_TELEMETRY=1" in settings
            assert not [line for line in settings if line.startswith("ProcSubset=") or "~@resources" in line]


@pytest.fixture
def units() -> Iterator[Path]:
    """A folder that every user can read, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def dumped(fleet: Fleet, units: Path) -> str:
    """The unit as systemd's service manager itself understood it."""
    if not os.access(MANAGER, os.X_OK):
        absent(f"{MANAGER} is not installed")
    put({name: data for name, data in files_of(fleet, "systemd").items() if name.endswith(".service")}, units)
    words = [MANAGER, "--test", "--system", f"--unit={UNIT}", "--log-target=console"]
    if os.geteuid() == 0:  # systemd refuses its test mode to root
        words = [tool("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", *words]
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{units}:", "XDG_RUNTIME_DIR": str(units)}
    done = subprocess.run(words, env=environment, cwd="/", capture_output=True, check=False)
    text = done.stdout.decode()
    assert f"Unit {UNIT}:" in text, done.stderr.decode()
    return text.partition(f"Unit {UNIT}:\n")[2].partition("\t-> Unit ")[0]


def test_systemd_reads_back_nasty_values(units: Path) -> None:
    text = dumped(SCENARIOS["nasty-strings"], units)
    assert [value for name, value in NASTY if f"\t\tEnvironment: {name}={value}\n" not in text] == []
    line = (
        'Command Line: /usr/lib/slmc/slm-server "--motto=100% \\"\\$\\$HOME\\" it\'s" ";" "" - "a\\\\b\\n"'
        ' "\\$\\${SLMC_PORT}" 😀\n'
    )
    assert line in text  # `$$` is what the manager turns into `$` when it starts the program


def test_nasty_values_need_their_quoting(units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compiler.bundle.quoting._SYSTEMD_ESCAPES", {})
    text = dumped(SCENARIOS["nasty-strings"], units)
    assert [name for name, value in NASTY if f"\t\tEnvironment: {name}={value}\n" not in text]


def test_conditions_hold_on_the_right_device_alone() -> None:
    lines = files_of(SCENARIOS["plain"], "systemd")[UNIT].decode().splitlines()
    asserts = [line for line in lines if line.startswith("Assert") and "PathIsDirectory" not in line]
    assert asserts == ["AssertArchitecture=arm64", "AssertCPUs=>=4", f"AssertMemory=>={2 * (100 + 2 + 96) * 2**20}"]
    machine = os.uname().machine
    if machine != "x86_64":
        pytest.skip(f"written for x86_64, this is {machine}")
    assert run("systemd-analyze", "condition", "AssertArchitecture=arm64").returncode != 0
    assert run("systemd-analyze", "condition", "AssertArchitecture=x86-64").returncode == 0
    assert run("systemd-analyze", "condition", f"AssertMemory=>={2**20}", "AssertCPUs=>=1").returncode == 0
    assert run("systemd-analyze", "condition", f"AssertMemory=>={2**60}").returncode != 0


@pytest.mark.parametrize(("name", "user"), [("plain", "slmc"), ("egress-allowed", "slmc-egress")])
def test_sysusers_makes_the_user_of_the_unit(name: str, user: str, tmp_path: Path) -> None:
    files = files_of(SCENARIOS[name], "systemd")
    put({"etc/sysusers.d/slmc.conf": files["sysusers.conf"], "etc/passwd": b"", "etc/group": b""}, tmp_path)
    done = run("systemd-sysusers", "--dry-run", f"--root={tmp_path}")
    assert done.returncode == 0
    assert f"Creating user '{user}' (slmc runs) with UID " in done.stderr
    assert f"User={user}" in files[UNIT].decode().splitlines()


def test_sysusers_refuses_a_broken_line(tmp_path: Path) -> None:
    put({"etc/sysusers.d/slmc.conf": b"u slmc - no quotes here at all -\n"}, tmp_path)
    assert not accepted(run("systemd-sysusers", "--dry-run", f"--root={tmp_path}"))


def test_tmpfiles_makes_the_folder_of_artifacts(tmp_path: Path) -> None:
    files = files_of(SCENARIOS["plain"], "systemd")
    need_root()
    put({"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "etc/group": b"root:x:0:\n"}, tmp_path)
    configuration = put(files, tmp_path / "bundle", ["tmpfiles.conf"]) / "tmpfiles.conf"
    done = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", configuration)
    assert accepted(done), done.stderr
    folder = tmp_path / "var/lib/slmc/artifacts"
    assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o755, 0)


def in_namespace(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `script` with a network of its own and a user `slmc` (uid 60123), in `folder`."""
    need_root()
    for name in ("nft", "ip", "unshare", "nsenter"):
        tool(name)
    (folder / "passwd").write_text(Path("/etc/passwd").read_text() + "slmc:x:60123:60123::/:/usr/sbin/nologin\n")
    whole = f"set -e\nmount --bind passwd /etc/passwd\nip link set lo up\n{script}"
    return run("unshare", "--net", "--mount", "bash", "-c", whole, cwd=folder, env={"PYTHON": sys.executable})


def test_nft_accepts_the_rules_and_refuses_broken_ones(tmp_path: Path) -> None:
    rules = files_of(SCENARIOS["plain"], "systemd")["egress.nft"]
    put({"egress.nft": rules, "broken.nft": rules.replace(b"meta skuid", b"meta skuids")}, tmp_path)
    assert accepted(in_namespace("nft -c -f egress.nft", tmp_path))
    assert not accepted(in_namespace("nft -c -f broken.nft", tmp_path))


TALK = """
ip link add here type veth peer name there
unshare --net sleep 30 & peer=$!
while [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link set there netns $peer
ip addr add 192.0.2.1/24 dev here
ip link set here up
nsenter -t $peer -n ip addr add 192.0.2.2/24 dev there
nsenter -t $peer -n ip link set there up
nsenter -t $peer -n "$PYTHON" -m http.server --bind 192.0.2.2 8000 >/dev/null 2>&1 & far=$!
"$PYTHON" -m http.server --bind 127.0.0.1 8000 >/dev/null 2>&1 & near=$!
trap 'kill $far $near $peer' EXIT
ask() {  # USER-ID ADDRESS
  "$PYTHON" -c '
import encodings.idna, os, socket, sys
os.setuid(int(sys.argv[1]))
socket.create_connection((sys.argv[2], 8000), timeout=2)' "$@" 2>/dev/null && echo yes || echo no
}
for _ in $(seq 100); do
  if [ "$(ask 65534 192.0.2.2)$(ask 65534 127.0.0.1)" = yesyes ]; then break; fi
  sleep 0.1
done
echo "before $(ask 60123 192.0.2.2)"
nft -f egress.nft
nft -f egress.nft
echo "after $(ask 60123 192.0.2.2) self $(ask 60123 127.0.0.1) other $(ask 65534 192.0.2.2)"
"""


def test_the_user_slmc_reaches_this_device_and_no_other(tmp_path: Path) -> None:
    """Real connections: the same one succeeds before the rules, and for another user after them."""
    put(files_of(SCENARIOS["plain"], "systemd"), tmp_path, ["egress.nft"])
    done = in_namespace(TALK, tmp_path)
    assert done.stdout.splitlines() == ["before yes", "after no self yes other yes"], done.stderr


def test_an_allowed_egress_has_no_rules() -> None:
    files = files_of(SCENARIOS["egress-allowed"], "systemd")
    assert not {"egress.nft", "nftables-slmc.service"} & files.keys()
    assert b"IPAddress" not in files[UNIT]
    assert b"nftables" not in files[UNIT]
