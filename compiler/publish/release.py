"""The release file: a few lines that let a device take one bundle, which their signature vouches for."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime

FOLDER = "releases"
FILE = "release"
SIGNATURE = "release.sig"
NAMESPACE = "slmc-release"
"""Of the signature: one made for anything else is none for a release."""

_FORMAT = b"format slmc-release-1\n"
_SIGNATURE_BEGINS = b"-----BEGIN SSH SIGNATURE-----"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Release:
    """`bundle`: the sha256 of the bundle's `SHA256SUMS` in hex digits. A device takes no serial below one it took."""

    fleet: str
    cohort: str
    target: str
    bundle: str
    serial: int
    expires: datetime

    def dump(self) -> bytes:
        return _FORMAT + "".join(f"{one.name} {self._written(one.name)}\n" for one in fields(self)).encode()

    def _written(self, name: str) -> str:
        value = getattr(self, name)
        return value.strftime(_TIME) if isinstance(value, datetime) else str(value)


def parse(data: bytes) -> Release | None:
    """None for what `dump` does not give, byte for byte."""
    lines = dict(line.split(" ", 1) for line in data.decode("utf-8", "replace").splitlines() if " " in line)
    try:
        release = Release(
            lines["fleet"],
            lines["cohort"],
            lines["target"],
            lines["bundle"],
            int(lines["serial"]),
            datetime.strptime(lines["expires"], _TIME).replace(tzinfo=UTC),
        )
    except (KeyError, ValueError):
        return None
    return release if release.dump() == data else None


def is_release(data: bytes) -> bool:
    """Whether slmc wrote the file, even if it is damaged or in conflict now."""
    return data.startswith(_FORMAT)


def is_signature(data: bytes) -> bool:
    return data.startswith(_SIGNATURE_BEGINS)


def last_serial(data: bytes) -> int | None:
    """The largest serial that a release file names: one in which Git left a conflict names two."""
    found = [int(number) for number in re.findall(rb"^serial (\d{1,18})\r?$", data, re.MULTILINE)]
    return max(found, default=None)
