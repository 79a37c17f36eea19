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
        text = text.replace("[systemd, compose, kubernetes]", f"[{', '.join(self.targets)}]")
        (self.folder / "hello.slmc.yaml").write_text(text + (f"    overlays:\n{overlays}" if overlays else ""))
        rows = "".join(f"{id},{kind},{site}\n" for id, (kind, site) in self.devices.items())
        (self.folder / "inventory" / "shops.csv").write_text("id,class,site\n" + rows)

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
