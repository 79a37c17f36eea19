"""`python -m benchmarks.fleet.yaml_speed N`: MB/s of YAML with places, by slmc and by ruamel's round trip.

CPU time of the call alone, median of three, as JSON. The text is a list of `n` devices with 14 scalars each, as a
person or a CI job writes one; the round trip reads a tenth of it, since it takes long.
"""

from __future__ import annotations

import hashlib
import io
import json
import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.fleet import workload

_DEVICE = """\
  - name: {name}
    site: {site}
    region: {region}
    arch: arm64
    address: 10.{high}.{middle}.{low}
    memory_mb: {memory}
    threads: {threads}
    model: smollm2-135m-instruct
    quantization: {quantization}
    canary: {canary}
    labels:
      rack: "r{rack}"
      tier: prod
    env:
      SLM_SERIAL: "{serial}"
      SLM_LOG: info
    targets: [systemd, compose, k8s]
"""


def text(n: int) -> str:
    """An inventory in block style, with a comment at each site."""
    lines = ["# Edge fleet inventory\napiVersion: example.com/v1\nkind: Inventory\ndevices:\n"]
    for number in range(n):
        if number % workload.DEVICES_PER_SITE == 0:
            lines.append(f"  # {workload.site_name(number)}\n")
        values = workload.device(number)
        lines.append(
            _DEVICE.format(
                name=values["device"],
                site=workload.site_name(number),
                region=workload.region_of(number),
                high=number >> 16 & 255,
                middle=number >> 8 & 255,
                low=number & 255,
                memory=values["memory_mb"],
                threads=values["threads"],
                quantization=values["quantization"],
                rack=number % 17,
                canary=str(number % 25 == 0).lower(),
                serial=hashlib.sha256(str(number).encode()).hexdigest()[:16],
            )
        )
    return "".join(lines)


def speed(read: Callable[[str], object], data: str) -> float:
    """MB/s of CPU time."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        read(data)
        seconds.append(time.process_time() - start)
    return len(data.encode()) / 1e6 / statistics.median(seconds)


def main(n: int) -> None:
    from ruamel.yaml import YAML

    from compiler.syntax.read import parse

    long, short = text(n), text(n // 10)
    found = {
        "slmc": speed(lambda data: parse(data.encode(), "inventory.yaml"), long),
        "ruamel": speed(lambda data: YAML().load(io.StringIO(data)), short),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
