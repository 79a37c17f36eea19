"""Fleets for the targets that are read by a vendor's cloud, and no others: these want values of an account."""

from __future__ import annotations

from dataclasses import replace

from compiler.fleet.graph import Fleet, TargetOption, TargetUse
from tests.bundle.scenarios import EGRESS_ALLOWED, NASTY_STRINGS, OWN_RUNTIME, TWO_RUNS, VARIABLES, files_of
from tests.values import PLACE


def _option(name: str, value: object) -> TargetOption:
    return TargetOption(name, value, PLACE, PLACE)


S3 = "s3://shops-models/slmc"
GROUPS = "arn:aws:iot:eu-central-1:123456789012:thinggroup/"
GREENGRASS = TargetUse("greengrass", PLACE, (_option("artifacts", S3), _option("thingGroups", GROUPS)))
TARGETS = (TargetUse("azure-iot-edge", PLACE), TargetUse("flightctl", PLACE), GREENGRASS)
OPTIONS = (
    TargetUse("azure-iot-edge", PLACE, (_option("priority", 30), _option("targetCondition", "tags.site = 'lyon'"))),
    TargetUse("flightctl", PLACE, (_option("batches", ("5%",)), _option("updateAt", "0 2 * * 1-5"))),
    replace(GREENGRASS, options=(*GREENGRASS.options, _option("user", "llm"))),
)


def of_vendors(fleet: Fleet, targets: tuple[TargetUse, ...] = TARGETS) -> Fleet:
    return replace(fleet, targets=targets)


VENDORS = {
    "own-runtime": of_vendors(OWN_RUNTIME),
    "two-runs-amd64": of_vendors(TWO_RUNS),
    "egress-allowed": of_vendors(EGRESS_ALLOWED),
    "nasty-strings": of_vendors(NASTY_STRINGS),
    "options": of_vendors(VARIABLES, OPTIONS),
}


def vendor_files(name: str, target: str) -> dict[str, bytes]:
    """The files of a scenario's one bundle for `target`."""
    return files_of(VENDORS[name], target)
