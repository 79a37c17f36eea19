"""A workspace that tests edit again and again, and compile after each edit."""

from __future__ import annotations

import shutil
from pathlib import Path

from compiler.cli.main import run
from tests.conftest import REPOSITORY
from tests.tree import generated

SITES = [f"site-{number}" for number in range(6)]
CLASSES = ["counter-pi", "office-n100"]


class Shop:
    """The example with an inventory and overlays that tests set; `write` brings them to the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices = {f"till-{number}": ("counter-pi", SITES[number % 3]) for number in range(5)}
        self.devices |= {f"office-{number}": ("office-n100", SITES[number]) for number in (1, 2)}
        self.memory: dict[str, str] = {"till-0": "2GiB"}
        self.overlays: dict[str, int] = {"site-1": 2}
        self.targets = ["systemd"]
        generated_parts = shutil.ignore_patterns("deploy", "slmc.lock")
        shutil.copytree(REPOSITORY / "blueprints" / "hello", folder, ignore=generated_parts)
        self.text = (folder / "hello.slmc.yaml").read_text()
        self.write()

    def write(self) -> None:
        overlays = "".join(
            f"      - {{match: {{site: {site}}}, runs: {{counter: {{threads: {threads}}}}}}}\n"
            for site, threads in sorted(self.overlays.items())
        )
        text = self.text[: self.text.index("    # Other values for some devices")]
        text = text.replace("[systemd, container, kubernetes]", f"[{', '.join(self.targets)}]")
        columns = "    columns: {limit: runs.counter.memoryLimit, name: device.TILL_NAME}\n"
        whole = text + columns + (f"    overlays:\n{overlays}" if overlays else "")
        blueprint, inventory = self.folder / "hello.slmc.yaml", self.folder / "inventory" / "shops.csv"
        rows = [f"{id},{kind},{site},{self.memory.get(id, '')},{id[::-1]}" for id, (kind, site) in self.devices.items()]
        for file, content in ((blueprint, whole), (inventory, "\n".join(["id,class,site,limit,name", *rows, ""]))):
            if not file.exists() or file.read_text() != content:
                file.write_text(content)

    def compile(self) -> dict[str, bytes]:
        assert run(["compile", str(self.folder)]) == 0
        return generated(self.folder)

    def compile_clean(self, elsewhere: Path) -> dict[str, bytes]:
        """The same blueprint, where nothing was compiled before."""
        shutil.copytree(self.folder, elsewhere, ignore=shutil.ignore_patterns("deploy", "slmc.lock"))
        assert run(["compile", str(elsewhere)]) == 0
        found = generated(elsewhere)
        shutil.rmtree(elsewhere)
        return found
