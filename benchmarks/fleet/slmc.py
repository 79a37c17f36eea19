"""slmc's side: a warm store, the workspaces, and the compiles that are measured on them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.fleet import measure, workload, workspace
from benchmarks.fleet.measure import Case
from benchmarks.fleet.workspace import Edit, Variant

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Slmc:
    """slmc of this repository, with its store and caches in `work` and its workspaces in `scratch`."""

    work: Path
    scratch: Path

    def warm(self) -> str:
        """Build every artifact that the workload needs; why that failed, if it did.

        Optimizing models is no part of the workload, so each timed compile finds them in the store.
        """
        folder = self.work / "warm"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        workspace.write_models(folder)
        # The names of the versions are others here, since an artifact's key does not have them.
        text = workspace.models_text({f"{version}-{name}": name for name, version in workspace.SOURCES.items()})
        (folder / workspace.BLUEPRINT).write_text(text + "\n".join(_all_pairs()) + "\n")
        (folder / "warm.csv").write_text("id,class\none,edge\n")
        target = folder / "targets" / "none"
        target.mkdir(parents=True)
        (target / "target.yaml").write_text("description: None\nfiles: [{path: none, template: none.j2}]\n")
        (target / "none.j2").write_text("none\n")
        return measure.run(self._case("slmc compile, to fill the store", folder, "compile")).failed

    def takes_it(self) -> str:
        """Why slmc refuses the workspace of the workload; empty when it does not."""
        folder = self.scratch / "probe"
        workspace.write(workload.DEVICES_PER_SITE, folder, Variant.OWN)
        return measure.run(self._case("slmc validate, to see whether it takes this", folder, "validate")).failed

    def folder(self, variant: Variant, n: int) -> Path:
        """The workspace of `n` devices, written when it is asked for first."""
        folder = self.scratch / f"{variant.value}-{n}"
        if not folder.exists():
            workspace.write(n, folder, variant)
        return folder

    def cold(self, variant: Variant, n: int) -> Case:
        """A compile that finds neither bundles nor lock nor any cache, only artifacts."""
        folder = self.folder(variant, n)
        return self._case(f"slmc cold {variant.value} {n}", folder, "compile", partial(self._clean, folder))

    def again(self, name: str, n: int, edit: Edit | None = None, variant: Variant = Variant.OWN) -> Case:
        """A compile after another, with an edit between them or none."""
        folder = self.folder(variant, n)
        return self._case(f"slmc {name} {n}", folder, "compile", partial(edit, folder) if edit else None)

    def validate(self, n: int) -> Case:
        return self._case(f"slmc validate {n}", self.folder(Variant.OWN, n), "validate")

    def _case(self, name: str, folder: Path, word: str, prepare: measure.Preparation = None) -> Case:
        command = [sys.executable, "-m", "compiler.cli", word, str(folder)]
        environment = {
            "SLMC_STORE": str(self.work / "store"),
            "XDG_CACHE_HOME": str(self.work / "cache"),
            "ORT_DISABLE_TELEMETRY": "1",
        }
        return Case(name, command, ROOT, prepare, environment)

    def _clean(self, folder: Path) -> None:
        for stale in (folder / "deploy", self.work / "cache", *folder.glob(".slmc*")):
            shutil.rmtree(stale, ignore_errors=True)
        (folder / "slmc.lock").unlink(missing_ok=True)


def _all_pairs() -> Iterator[str]:
    """A fleet of one device that runs every model by every recipe."""
    model = workload.fleet()["model_name"]
    yield from ("fleets:", "  warm:", "    inventory: warm.csv", "    targets: [none]", "    runs:")
    for name, version in workspace.SOURCES.items():
        for recipe in workspace.RECIPES:
            yield f"      {name}-{recipe}: {{model: {model}@{version}-{name}, recipe: {recipe}}}"
