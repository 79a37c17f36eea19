"""What the agent does not deploy: the device keeps serving what it has, and says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.agent.conftest import Scene
from tests.agent.shop import COHORT, DEVICE, PLACE, Bundle, bundle, release_text


def refused(scene: Scene, reason: str, serving: Bundle | None) -> None:
    """Sync, and compare what is on the device before and after, what was said, asked and reported."""
    tree, _ = scene.device.tree, scene.device.calls
    scene.registry.asked.clear()
    assert scene.device.sync() == (4, f"slmc-agent: refused: {reason}\n")
    now = scene.device.tree
    for found in (now, tree):
        found.pop("var/lib/slmc/state/variables", None)
    assert (now, scene.device.calls, scene.registry.asked) == (
        tree | {"var/lib/slmc/state/lock": b""},
        [],
        [],
    )
    status = scene.device.status
    assert (status["result"], status["reason"], status["bundle"], status["healthy"]) == (
        "refused",
        reason,
        serving and serving.id,
        serving is not None,
    )


def test_a_replayed_older_serial(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 3)
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n"), 4)
    assert scene.device.sync()[0] == 0
    scene.release(first, 3)
    refused(scene, "serial 3 is older than 4, which was accepted before", second)


def test_the_serial_of_another_bundle(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 3)
    assert scene.device.sync()[0] == 0
    scene.release(scene.bundle("# second\n"), 3)
    refused(scene, "serial 3 was accepted for another bundle before", first)


def test_a_cohort_has_serials_of_its_own(scene: Scene) -> None:
    scene.release(scene.bundle(), 9)
    assert scene.device.sync()[0] == 0
    other = scene.bundle("# of the other cohort\n")
    scene.workspace.put("deploy/shops/devices.csv", f"id,class,cohort,TILL\n{DEVICE},counter-pi,other,\n".encode())
    scene.workspace.release(other, 2, place="shops/other/systemd")
    assert scene.device.sync()[0] == 0
    scene.workspace.release(other, 1, place="shops/other/systemd")
    refused(scene, "serial 1 is older than 2, which was accepted before", other)


def test_a_wrong_signer(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    scene.release(scene.bundle("# second\n"), 2, key="stranger")
    refused(scene, "the release is not signed by a key of /etc/slmc/allowed_signers", first)


def test_keys_are_rotated_by_two_lines_of_signers(scene: Scene) -> None:
    signers = scene.device.root / "etc/slmc/allowed_signers"
    scene.release(scene.bundle(), 1, key="first")
    assert scene.device.sync()[0] == 0
    second = scene.release(scene.bundle("# second\n"), 2, key="second")
    assert scene.device.sync()[0] == 0
    signers.write_text(scene.workspace.signers("second"))
    scene.release(scene.bundle("# third\n"), 3, key="first")
    refused(scene, "the release is not signed by a key of /etc/slmc/allowed_signers", second)
    scene.release(scene.bundle("# third\n"), 3, key="second")
    assert scene.device.sync()[0] == 0


def test_a_signature_for_another_purpose(scene: Scene) -> None:
    found = scene.bundle()
    scene.workspace.deploy(found)
    scene.workspace.sign(release_text(found, 1), namespace="git")
    scene.workspace.commit()
    refused(scene, "the release is not signed by a key of /etc/slmc/allowed_signers", None)


def test_an_expired_release(scene: Scene) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    second = scene.bundle("# second\n")
    scene.workspace.deploy(second)
    scene.workspace.sign(release_text(second, 2, expires="2020-02-29T12:00:00Z"))
    scene.workspace.commit()
    refused(scene, "the release expired at 2020-02-29T12:00:00Z", first)


def test_a_clock_that_stands_before_the_last_accepted_release_is_not_trusted(scene: Scene) -> None:
    """The release ends after what the clock says, but before the time that the device has seen."""
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    accepted = scene.device.root / "var/lib/slmc/state/accepted"
    key, serial, id, _ = accepted.read_text().split()
    accepted.write_text(f"{key} {serial} {id} 4000000000\n")
    second = scene.bundle("# second\n")
    scene.workspace.deploy(second)
    scene.workspace.sign(release_text(second, 2, expires="2096-10-02T07:06:39Z"))
    scene.workspace.commit()
    behind = "slmc-agent: the clock stands before the last accepted release (2096-10-02T07:06:40Z): it is not trusted\n"
    assert scene.device.sync() == (
        4,
        f"{behind}slmc-agent: refused: the release expired at 2096-10-02T07:06:39Z\n",
    )
    assert (scene.device.status["clockBehind"], scene.device.status["bundle"]) == (True, first.id)

    scene.workspace.sign(release_text(second, 2, expires="2096-10-02T07:06:41Z"))
    scene.workspace.commit()
    assert scene.device.sync()[0] == 0
    assert (scene.device.status["clockBehind"], scene.device.status["bundle"]) == (True, second.id)


def test_a_release_of_another_cohort(scene: Scene) -> None:
    found = scene.bundle()
    scene.workspace.deploy(found)
    scene.workspace.sign(release_text(found, 1, "shops/other/systemd"))
    scene.workspace.commit()
    refused(scene, f"the release is of shops/other/systemd, not of {PLACE}", None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("slmc-release-1", "slmc-release-2"),
        lambda text: text.replace("serial 1", "serial 01"),
        lambda text: text.replace("serial 1", "serial -1"),
        lambda text: text.replace("serial 1", "serial 99999999999999999999"),
        lambda text: text.replace("serial 1\n", ""),
        lambda text: text + "serial 2\n",
        lambda text: text.replace("2100-01-01T00:00:00Z", "2100-13-01T00:00:00Z"),
        lambda text: text.replace("2100-01-01T00:00:00Z", "tomorrow"),
        lambda text: text.replace("bundle ", "bundle ../"),
        lambda text: "",
    ],
)
def test_a_release_file_of_another_form(scene: Scene, spoil: Callable[[str], str]) -> None:
    found = scene.bundle()
    scene.workspace.deploy(found)
    scene.workspace.sign(spoil(release_text(found, 1)))
    scene.workspace.commit()
    refused(scene, "the signed release file does not read as one", None)


def test_no_release(scene: Scene) -> None:
    scene.workspace.deploy(scene.bundle())
    scene.workspace.commit()
    refused(scene, f"releases/{PLACE} has no release that is signed", None)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("SHA256SUMS", b"", f"the bundle in deploy/{PLACE} is not the one that was released"),
        ("slmc-counter.service", b"[Service]\nExecStart=/bin/sh\n", "a file of the bundle is not what SHA256SUMS says"),
        ("slmc-counter.service", None, "SHA256SUMS names a file that the bundle does not have"),
    ],
)
def test_a_bundle_that_is_not_the_one_that_was_signed(scene: Scene, name: str, data: bytes | None, reason: str) -> None:
    first = scene.release(scene.bundle(), 1)
    assert scene.device.sync()[0] == 0
    scene.release(scene.bundle("# second\n"), 2)
    path = scene.workspace.folder / "deploy" / PLACE / name
    path.unlink() if data is None else path.write_bytes(data)
    scene.workspace.commit()
    refused(scene, reason, first)


def test_a_link_in_the_place_of_a_file(scene: Scene) -> None:
    scene.release(scene.bundle(), 1)
    path = scene.workspace.folder / "deploy" / PLACE / "slmc-counter.service"
    outside = scene.workspace.folder.parent / "the same"
    path.rename(outside)
    path.symlink_to(outside)
    scene.workspace.commit()
    refused(scene, "a file of the bundle is not what SHA256SUMS says", None)


@pytest.mark.parametrize(
    ("table", "line", "reason"),
    [
        ("install.tsv", "sysusers.conf\t/etc/../root/x\t0644", "install.tsv: the line of `sysusers.conf` is not one"),
        ("install.tsv", "sysusers.conf\tetc/x\t0644", "install.tsv: the line of `sysusers.conf` is not one"),
        ("install.tsv", "sysusers.conf\t/etc/x\t4755", "install.tsv: the line of `sysusers.conf` is not one"),
        ("install.tsv", "../x\t/etc/x\t0644", "install.tsv: the line of `../x` is not one"),
        ("install.tsv", "missing\t/etc/x\t0644", "install.tsv: the line of `missing` is not one"),
        ("artifacts.tsv", f"{'0' * 64}\t7\tfolder/x", "artifacts.tsv: the line of `folder/x` is not one"),
        ("artifacts.tsv", f"{'0' * 64}\tx\t{'1' * 64}/x", f"artifacts.tsv: the line of `{'1' * 64}/x` is not one"),
        ("artifacts.tsv", f"{'0' * 63}\t7\t{'1' * 64}/x", f"artifacts.tsv: the line of `{'1' * 64}/x` is not one"),
        ("units.tsv", "--root=x\tguard\t-", "units.tsv: the line of `--root=x` is not one"),
        ("units.tsv", "x.service\tother\t-", "units.tsv: the line of `x.service` is not one"),
        ("units.tsv", "x.service\trun\thttp://x\tword", "units.tsv: the line of `x.service` is not one"),
        ("units.tsv", "x.service\tguard\t-\tstatus", "units.tsv: the line of `x.service` is not one"),
        ("units.tsv", "x.service\trun\tfile:///x", "units.tsv: the line of `x.service` is not one"),
    ],
)
def test_a_table_that_leads_elsewhere(scene: Scene, table: str, line: str, reason: str) -> None:
    found = scene.bundle()
    scene.release(replace(found, files={**found.files, table: found.files[table] + f"{line}\n".encode()}), 1)
    refused(scene, reason, None)


def test_a_bundle_without_its_tables(scene: Scene) -> None:
    found = scene.bundle()
    files = {name: data for name, data in found.files.items() if name != "units.tsv"}
    scene.release(Bundle(files, found.artifact), 1)
    refused(scene, "the bundle has no units.tsv: the agent cannot deploy it", None)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("id,class,cohort\nother,pi,counter-pi\n", f"device {DEVICE} is not in deploy/shops/devices.csv"),
        (f"device,cohort\n{DEVICE},x\n", "deploy/shops/devices.csv does not read as a table of devices"),
        (f"id,class,cohort\n{DEVICE},x\n", "deploy/shops/devices.csv does not read as a table of devices"),
        (f"id,class,cohort,A-B\n{DEVICE},x,y,z\n", "deploy/shops/devices.csv does not read as a table of devices"),
        (f"id,class,cohort,A\n{DEVICE},x,y,'\n", "deploy/shops/devices.csv does not read as a table of devices"),
        (
            f"id,class,cohort,SLMC_HOST\n{DEVICE},x,y,0.0.0.0\n",
            "deploy/shops/devices.csv does not read as a table of devices",
        ),
        (
            f"id,class,cohort,ORT_DISABLE_TELEMETRY\n{DEVICE},x,y,0\n",
            "deploy/shops/devices.csv does not read as a table of devices",
        ),
        (f"id,class,cohort\n{DEVICE},x,../y\n", "the cohort in deploy/shops/devices.csv is not a name"),
        (f"id,class,cohort\n{DEVICE},x,none\n", "there is no bundle of cohort none for the target systemd"),
    ],
)
def test_a_device_without_a_bundle(scene: Scene, table: str, reason: str) -> None:
    first = scene.release(bundle(scene.health_port), 1)
    assert scene.device.sync()[0] == 0
    scene.workspace.put("deploy/shops/devices.csv", table.encode())
    scene.workspace.commit()
    refused(scene, reason, first)


def test_a_fleet_without_a_table(scene: Scene) -> None:
    scene.device.configure(FLEET="clinics")
    scene.workspace.release(scene.bundle(), 1, place=f"clinics/{COHORT}/systemd")
    assert scene.device.sync() == (4, "slmc-agent: refused: there is no table of the devices of fleet clinics\n")
