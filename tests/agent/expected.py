"""What a device is expected to be after a sync: its status, what is on it, what systemd was asked."""

from __future__ import annotations

from typing import Any

from tests.agent.conftest import Scene
from tests.agent.shop import COHORT, DEVICE, FLEET, FOLDER, Bundle, release_text


def status(found: Bundle, serial: int, **other: Any) -> dict[str, Any]:
    """The status of a device that serves `found`."""
    return {
        "device": DEVICE,
        "fleet": FLEET,
        "cohort": COHORT,
        "target": "systemd",
        "result": "deployed",
        "reason": None,
        "exitCode": 0,
        "bundle": found.id,
        "serial": serial,
        "healthy": True,
        "wantedBundle": found.id,
        "wantedSerial": serial,
        "revision": None,
        "started": "TIME",
        "finished": "TIME",
        "accepted": "TIME",
        "lastContact": "TIME",
        "downloadedBytes": 0,
        "clockBehind": False,
        **other,
    }


def tree(
    scene: Scene,
    current: Bundle,
    serial: int,
    previous: tuple[Bundle, int] | None = None,
    folders: tuple[str, ...] = (FOLDER,),
) -> dict[str, str | bytes]:
    """What is on a device that deployed `current` after `previous`; artifacts lie in `folders`, the current first."""
    releases = [(current, serial), *([previous] if previous else [])]
    found: dict[str, str | bytes] = {
        "etc/slmc/agent.conf": "".join(f"{key}={value}\n" for key, value in scene.device.settings.items()).encode(),
        "etc/slmc/allowed_signers": scene.workspace.signers("first", "second").encode(),
        "etc/slmc/device.env": b"TILL='No. 7'\n",
        "running/nftables-slmc.service": current.id.encode(),
        "running/slmc-counter.service": current.id.encode(),
        "var/lib/slmc/current": f"→ releases/{current.id}",
        "var/lib/slmc/state/lock": b"",
        "var/lib/slmc/state/started-with": b"TILL='No. 7'\n",
        "var/lib/slmc/state/variables": b"TILL='No. 7'\n",
        "var/lib/slmc/state/units": current.table("units.tsv", slice(2)),
        "var/lib/slmc/state/installed": current.table("install.tsv", slice(1, 2)),
    }
    for line in current.files["install.tsv"].decode().splitlines():
        name, destination, _ = line.split("\t")
        found[destination[1:]] = current.files[name]
    if previous:
        found["var/lib/slmc/previous"] = f"→ releases/{previous[0].id}"
    for (each, its_serial), folder in zip(releases, folders * 2, strict=False):
        inside = f"var/lib/slmc/releases/{each.id}"
        found |= {f"{inside}/{name}": data for name, data in each.files.items()}
        found |= {f"{inside}/SHA256SUMS": each.sums, f"{inside}/release": release_text(each, its_serial).encode()}
        found[f"{inside}/release.sig"] = scene.device.tree[f"{inside}/release.sig"]
        found |= {f"var/lib/slmc/artifacts/{folder}/{name}": data for name, data in each.artifact.items()}
    return dict(sorted(found.items()))


STARTED = [
    "daemon-reload",
    "enable nftables-slmc.service",
    "reload-or-restart nftables-slmc.service",
    "enable slmc-counter.service",
    "reset-failed slmc-counter.service",
    "restart slmc-counter.service",
]


def installed(scene: Scene) -> list[str]:
    root = scene.device.root
    return [
        f"systemd-sysusers --root={root} slmc.conf",
        f"systemd-tmpfiles --create --root={root} slmc.conf",
        *STARTED,
    ]
