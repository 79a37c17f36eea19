"""One device, its workspace and its registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent.device import Device, stubs
from tests.agent.servers import Health, Registry, served
from tests.agent.shop import Bundle, Workspace, bundle, hex_of


@dataclass
class Scene:
    workspace: Workspace
    device: Device
    registry: Registry
    health: Health
    health_port: int

    def release(self, found: Bundle, serial: int, key: str = "first") -> Bundle:
        """Commit a bundle with its release, and push its artifact."""
        self.registry.blobs |= {hex_of(data): data for data in found.artifact.values()}
        self.workspace.release(found, serial, key)
        return found

    def bundle(self, *arguments: object, **more: object) -> Bundle:
        return bundle(self.health_port, *arguments, **more)  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    workspace = Workspace(tmp_path / "workspace")
    registry, health = Registry(), Health()
    device = Device(tmp_path / "device", [stubs(tmp_path / "stubs")])
    health.root = device.root
    with ExitStack() as stack:
        registry_port, health_port = (stack.enter_context(served(server)) for server in (registry, health))
        device.prepare(
            workspace.signers("first", "second"),
            SOURCE=f"file://{workspace.folder}",
            ARTIFACTS=f"oci+http://127.0.0.1:{registry_port}/slm/shop",
        )
        yield Scene(workspace, device, registry, health, health_port)
