"""Fleets × targets → bundles: every file that belongs below the output folder, as bytes.

What only rendering needs is imported when it begins: `validate` imports this module too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from compiler.artifact.artifact import Artifacts
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.bundle.bundles import Bundle, Bundles, cohort_folder
from compiler.bundle.fingerprint import Fingerprints
from compiler.bundle.index import device_index
from compiler.bundle.manifest import ARTIFACTS, GOLDEN, SUMS, artifacts_json, golden_json, sums
from compiler.bundle.serving import SERVE, readers, serve_json
from compiler.bundle.sizes import OWN, own_too_large, too_large
from compiler.bundle.targets import Target, TargetFile, Use
from compiler.fit.check import Estimate
from compiler.fleet.graph import Cohort, Fleet

if TYPE_CHECKING:
    from compiler.bundle.context import RunFacts
    from compiler.bundle.templates import CompiledFile

LONGEST_NAME = 255
"""Bytes of a file's name on the usual file systems."""


def render(
    targets: Mapping[str, Target],
    fleets: Iterable[Fleet],
    artifacts: Artifacts,
    estimates: Iterable[Estimate],
    levels: Mapping[str, int],
) -> Bundles:
    """One bundle for each cohort and each target of its fleet, and each fleet's index of devices.

    `levels` of folders by fleet are those of its whole number of cohorts, of which the fleet may have a part here.
    A template that fails is reported once and not tried again for other cohorts.
    """
    listed = tuple(fleets)
    indexes: dict[str, bytes] = {}
    for fleet in listed:
        indexes |= device_index(fleet)
    rendering = _Rendering(targets)
    by_cohort = {(estimate.fleet, estimate.cohort): estimate for estimate in estimates}
    drafts = _Drafts(listed, artifacts, by_cohort, levels, rendering)
    return Bundles(drafts, indexes, {fleet.name: levels[fleet.name] for fleet in listed}, rendering.diagnostics)


@dataclass(frozen=True, slots=True)
class _Drafts:
    """The bundles of all fleets, made anew each time they are gone through: there may be a hundred thousand."""

    fleets: tuple[Fleet, ...]
    artifacts: Artifacts
    estimates: Mapping[tuple[str, str], Estimate]
    levels: Mapping[str, int]
    rendering: _Rendering

    def __iter__(self) -> Iterator[Bundle]:
        prints = Fingerprints(self.artifacts)
        for fleet in self.fleets:
            shared = prints.of_fleet(fleet)
            uses = [Use.of(self.rendering.targets[use.name], use) for use in fleet.targets]
            for cohort in fleet.cohorts:
                if not cohort.runs:
                    continue
                estimate = self.estimates[fleet.name, cohort.name]
                folder = cohort_folder(fleet.name, cohort.name, self.levels[fleet.name])
                seen = prints.of_cohort(shared, cohort, estimate, folder)
                context = _Context(fleet, cohort, self.artifacts, estimate, folder)
                for use in uses:
                    name = use.target.name
                    fingerprint = prints.of_bundle(seen, use)
                    files = partial(self.rendering.bundle, use, context)
                    yield Bundle(fleet.name, cohort.name, name, f"{folder}/{name}", fingerprint, files)


@dataclass(slots=True)
class _Context:
    """What the templates of one cohort see, made when the first of its bundles is rendered."""

    fleet: Fleet
    cohort: Cohort
    artifacts: Artifacts
    estimate: Estimate
    folder: str
    names: dict[str, Any] | None = None

    def get(self) -> dict[str, Any]:
        if self.names is None:
            from compiler.bundle.context import cohort_context

            self.names = cohort_context(self.fleet, self.cohort, self.artifacts, self.estimate, self.folder)
        return self.names


@dataclass(slots=True)
class _Rendering:
    """The targets' templates, compiled once for all cohorts, and what went wrong so far."""

    targets: Mapping[str, Target]
    diagnostics: list[Diagnostic] = field(default_factory=list)
    _compiled: dict[str, list[CompiledFile]] = field(default_factory=dict)
    _own: dict[tuple[tuple[str, str], ...], tuple[dict[str, bytes], dict[str, str], dict[str, str]]] = field(
        default_factory=dict
    )

    def bundle(self, use: Use, context: _Context) -> dict[str, bytes]:
        """Every file of one bundle."""
        names = context.get()
        own, digests, texts = self._own_files(names["runs"], context.artifacts)
        files = dict(own)
        if served := readers(names["runs"]):
            files[SERVE] = serve = serve_json(served, names["fleet"], names["cohort"].device_class)
            texts = {**texts, SERVE: serve.decode()}
        seen = {**names, "target": use.facts(), "files": texts}
        each = [{**seen, "run": run} for run in names["runs"]]
        compiled = self._of(use.target)
        for file in list(compiled):
            if findings := _add(file, each if file.file.per_run else [seen], files, use):
                compiled.remove(file)
                self.diagnostics += findings
        files[SUMS] = sums(files, digests)
        self.diagnostics += own_too_large(use, files, context.cohort.name)
        return files

    def _own_files(
        self, runs: tuple[RunFacts, ...], artifacts: Artifacts
    ) -> tuple[Mapping[str, bytes], Mapping[str, str], dict[str, str]]:
        """What no template writes, which is the same for most cohorts; its sha256 in hex digits; the same as text."""
        key = tuple([(run.name, run.artifact.digest) for run in runs])
        if key not in self._own:
            files = {ARTIFACTS: artifacts_json(runs)}
            if (golden := golden_json(runs, artifacts.artifacts)) is not None:
                files[GOLDEN] = golden
            hexes = {name: sha256(data).hexdigest() for name, data in files.items()}
            self._own[key] = files, hexes, {name: data.decode() for name, data in files.items()}
        return self._own[key]

    def _of(self, target: Target) -> list[CompiledFile]:
        if target.name not in self._compiled:
            from compiler.bundle.templates import compile_target

            self._compiled[target.name], findings = compile_target(target)
            self.diagnostics += findings
        return self._compiled[target.name]


def _add(compiled: CompiledFile, contexts: list[dict[str, Any]], files: dict[str, bytes], use: Use) -> list[Diagnostic]:
    """Render one entry of a target into `files`: one file for each of the contexts, or none."""
    from compiler.bundle.templates import Broken

    try:
        for context in contexts:
            path = compiled.path(context)
            if not path:
                continue  # how a target leaves a file out
            if findings := _path_findings(path, compiled.file, files):
                return findings
            data = files[path] = compiled.content(context)
            if findings := too_large(path, len(data), compiled.file, use, context["cohort"].name):
                return findings
    except Broken as broken:
        return broken.diagnostics
    return []


def _path_findings(path: str, file: TargetFile, files: Mapping[str, bytes]) -> list[Diagnostic]:
    """What is wrong with a rendered path, if anything."""
    if not _is_inside(path):
        return [
            Diagnostic(
                Code.BAD_TARGET,
                f"`{path if path.isprintable() else ascii(path)}` is no path inside a bundle.",
                file.path_place,
                help="A path is relative, with `/`, stays in the bundle's folder, and has no name over 255 bytes.",
            )
        ]
    taken = _taken(path, (*files, GOLDEN, SERVE, SUMS))
    if taken is None:
        return []
    return [
        Diagnostic(
            Code.OUTPUT_CLASH,
            f"`{path}` and `{taken}` cannot stand in one bundle.",
            file.path_place,
            help=f"slmc's own are {OWN}; with `per: run`, use `run.name`.",
        )
    ]


@cache
def _is_inside(path: str) -> bool:
    """Whether a file of a bundle can be called that. Bundles of one target have mostly the same few paths."""
    pure = PurePosixPath(path)
    long = any(len(part.encode()) > LONGEST_NAME for part in pure.parts)
    odd = not path.isprintable() or "\\" in path or pure.as_posix() != path
    return not (pure.is_absolute() or ".." in pure.parts or odd or long)


@lru_cache(1024)
def _taken(path: str, others: tuple[str, ...]) -> str | None:
    """The file that cannot stand beside one at `path`: the same, or one in the place of a folder.

    The bundles of one target have mostly the same files.
    """
    if path in others:
        return path
    for other in others:
        if path.startswith(f"{other}/") or other.startswith(f"{path}/"):
            return other
    return None
