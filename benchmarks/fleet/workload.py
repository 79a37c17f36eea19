"""The workload: devices of a fleet whose values come from three levels, and four files for each of them.

fleet (21 fields) → site (6 of them, for 50 devices) → device (6 to 8 of them). Everything follows from a device's
number, so two runs see the same bytes. slmc and every peer are given this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Values = dict[str, Any]

DEVICES_PER_SITE = 50
REGIONS = ("eu-west", "eu-north", "us-east", "us-west", "ap-south")
QUANTIZATIONS = ("int8", "int4", "fp")
FILES = ("slm.service", "compose.yaml", "deployment.yaml", "manifest.json")
TEMPLATES = Path(__file__).parent / "templates"
CONFIGURATIONS = 40
"""How many different ones the variant in cohorts has: 5 regions × 8 sizes of memory."""

STABLE, CANDIDATE = "1.4.0", "1.5.0-rc1"


def fleet() -> Values:
    return {
        "fleet": "retail-edge",
        "region": "eu-west",
        "arch": "arm64",
        "accelerator": "none",
        "model_name": "smollm2-135m-instruct",
        "model_version": STABLE,
        "model_digest": "sha256:" + hashlib.sha256(b"model").hexdigest(),
        "quantization": "int8",
        "runtime_image": "registry.example.com/slm/runtime",
        "runtime_version": "2.3.1",
        "port": 8080,
        "max_tokens": 256,
        "threads": 4,
        "memory_mb": 768,
        "cpu_limit": "2",
        "log_level": "info",
        "telemetry_endpoint": "https://telemetry.example.com/v1/otlp",
        "update_window": "02:00-04:00",
        "restart_sec": 5,
        "labels": {"app": "slm", "team": "edge-ml", "tier": "prod"},
        "env": {"OMP_WAIT_POLICY": "PASSIVE", "SLM_CACHE_DIR": "/var/lib/slm/cache"},
    }


def sites(n: int) -> dict[str, Values]:
    """The sites of `n` devices, by name."""
    return {site_name(first): site(first) for first in range(0, n, DEVICES_PER_SITE)}


def site_name(device: int) -> str:
    return f"site-{device // DEVICES_PER_SITE:05d}"


def region_of(device: int) -> str:
    return REGIONS[device // DEVICES_PER_SITE % len(REGIONS)]


def device_name(device: int) -> str:
    return f"dev-{device:06d}"


def site(device: int) -> Values:
    """What the device's site sets."""
    number = device // DEVICES_PER_SITE
    name = site_name(device)
    return {
        "site": name,
        **region(region_of(device)),
        "update_window": f"{number % 24:02d}:00-{(number + 2) % 24:02d}:00",
        "labels": {"site": name},
        "env": {"SLM_SITE": name},
    }


def region(name: str) -> Values:
    """The values of a site that follow from its region."""
    return {"region": name, "telemetry_endpoint": f"https://telemetry.{name}.example.com/v1/otlp"}


def device(number: int) -> Values:
    """What one device sets."""
    name = device_name(number)
    values: Values = {
        "device": name,
        "threads": 2 + number % 4 * 2,
        "memory_mb": 512 + number % 8 * 128,
        "quantization": QUANTIZATIONS[number % 3],
        "labels": {"device": name},
        "env": {"SLM_DEVICE_SERIAL": "sn-" + hashlib.sha256(str(number).encode()).hexdigest()[:16]},
    }
    if number % 10 == 0:
        values["log_level"] = "debug"
    if number % 25 == 0:
        values["model_version"] = CANDIDATE
    return values


def few_configurations(number: int) -> Values:
    """What the device sets in the variant in cohorts: all but its name and serial follows from `number % 8`."""
    kind = number % 8
    own = device(number)
    return {
        **device(kind),
        **{key: own[key] for key in ("device", "labels", "env")},
        "log_level": "debug" if kind == 0 else "info",
        "model_version": CANDIDATE if kind == 5 else STABLE,
    }


def devices(n: int) -> Iterator[tuple[str, Values]]:
    """The site and the values of each device."""
    return ((site_name(number), device(number)) for number in range(n))


def laid_over(below: Values, above: Values) -> Values:
    """`above` over `below`; maps are merged."""
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = laid_over(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return merged


def resolved(n: int) -> Iterator[Values]:
    """All values of each device."""
    by_site = {name: laid_over(fleet(), values) for name, values in sites(n).items()}
    return (laid_over(by_site[site], values) for site, values in devices(n))


def template(name: str) -> str:
    """The Jinja template of one of FILES; the values are in `p`."""
    return (TEMPLATES / f"{name}.j2").read_text()
