"""Finds the targets that the fleets use: the workspace's own `targets/NAME`, else the built-in one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean, near_name
from compiler.base.shipped import shipped
from compiler.base.span import Span
from compiler.blueprint.door import check
from compiler.blueprint.target_spec import TargetFileSpec, TargetSpec
from compiler.bundle.options import Option, check_options, option_values, read_options
from compiler.fleet.graph import Fleet, TargetUse
from compiler.syntax.document import Document
from compiler.syntax.read import read

if TYPE_CHECKING:
    from compiler.bundle.context import TargetFacts

DEFINITION = "target.yaml"
BUILT_IN = "builtin/"
"""Begins the name of a template of another target that slmc brings: `builtin/systemd/sync.timer.j2`."""
_LABEL = "builtin/targets/"
_RENAMED = {"compose": "container"}
"""Built-in targets that had another name."""


@dataclass(frozen=True, slots=True)
class TargetFile:
    """One entry of `files`: `path` is a template itself, `template` a file of the target's folder."""

    path: str
    template: str
    per_run: bool
    path_place: Span = field(compare=False, repr=False)
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A target as its folder describes it. `label` is the folder as diagnostics call it."""

    name: str
    description: str
    needs: tuple[str, ...]
    files: tuple[TargetFile, ...]
    folder: Path
    label: str
    options: tuple[Option, ...] = ()
    versions: tuple[tuple[str, Any], ...] = ()
    """The oldest that devices may have of a program: `("podman", "4.9")`, `("systemd", 254)`."""
    beside: tuple[str, ...] = ()
    """Targets whose bundles it refers to."""
    max_own_files: int | None = None
    """Bytes that the files which no template writes may have together."""

    @property
    def borrowed(self) -> tuple[str, ...]:
        """Templates of targets that slmc brings, by the names that `files` gives them, in order."""
        return tuple(sorted({file.template for file in self.files if file.template.startswith(BUILT_IN)}))

    def template(self, name: str) -> Path | None:
        """The file of a template that `files` names, or that lies in the folder; None when there is none."""
        return inside(self.folder, name) if name not in self.borrowed else _built_in(name)

    def called(self, name: str) -> str:
        """What diagnostics call a template."""
        return f"{self.label}/{name}" if name not in self.borrowed else f"{_LABEL}{name.removeprefix(BUILT_IN)}"

    def template_called(self, label: str) -> str | None:
        """The other way; None for what is no template of the target."""
        borrowed = {self.called(name): name for name in self.borrowed}
        own = f"{self.label}/"
        return borrowed.get(label) or (label.removeprefix(own) if label.startswith(own) else None)


@dataclass(frozen=True, slots=True)
class Use:
    """A target with the values that a fleet's templates see of its options."""

    target: Target
    values: tuple[tuple[str, Any], ...]
    place: Span = field(compare=False, repr=False)
    """Where the fleet names the target."""

    @classmethod
    def of(cls, target: Target, use: TargetUse) -> Use:
        return cls(target, tuple(option_values(target.options, use).items()), use.place)

    def facts(self) -> TargetFacts:
        from compiler.bundle.context import TargetFacts  # which only rendering needs

        return TargetFacts(self.target.name, self.target.description, dict(self.values))


def find_targets(workspace: Path, fleets: Iterable[Fleet]) -> tuple[dict[str, Target], list[Diagnostic]]:
    """Every target that some fleet names, by name. One that is wrong is reported once and left out."""
    targets: dict[str, Target] = {}
    diagnostics: list[Diagnostic] = []
    seen: set[str] = set()
    for use in (use for fleet in fleets for use in fleet.targets):
        found = _locate(workspace, use.name)
        if found is None:
            diagnostics.append(_unknown(workspace, use))
        elif use.name not in seen:
            target, problems = _load(use.name, *found)
            diagnostics += problems
            if target is not None:
                targets[use.name] = target
        seen.add(use.name)
        if use.name in targets:
            diagnostics += check_options(use.name, targets[use.name].options, use)
    return targets, diagnostics


def template_names(folder: Path) -> list[str]:
    """The files of a target's folder that a template can be, with `/`, in order."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != DEFINITION
    )


def inside(folder: Path, name: str) -> Path | None:
    """The file `name` of a target's folder; None when there is none, or it lies elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return None
    found = folder / path
    return found if found.is_file() and found.resolve().is_relative_to(folder.resolve()) else None


def _built_in(name: str) -> Path | None:
    return inside(shipped("targets"), name.removeprefix(BUILT_IN))


def _locate(workspace: Path, name: str) -> tuple[Path, str] | None:
    """The folder of a target, and what to call it."""
    own = workspace / "targets" / name
    if own.is_dir():
        return own, f"targets/{name}"
    built_in = shipped("targets") / name
    return (built_in, f"{_LABEL}{name}") if built_in.is_dir() else None


def _load(name: str, folder: Path, label: str) -> tuple[Target | None, list[Diagnostic]]:
    path = f"{label}/{DEFINITION}"
    if not (folder / DEFINITION).is_file():
        help = f"A target is a folder with a `{DEFINITION}` and templates."
        return None, [Diagnostic(Code.BAD_TARGET, f"`{label}` has no `{DEFINITION}`.", file=path, help=help)]
    document, diagnostics = read(folder / DEFINITION, path)
    if document is None:
        return None, diagnostics
    spec, problems = check(document, TargetSpec)
    if spec is None:
        return None, [*diagnostics, *problems]
    problems += [
        problem
        for index, entry in enumerate(spec.files)
        for problem in _missing_template(document, folder, index, entry)
    ]
    options, faults = read_options(document, spec.options)
    problems += faults
    if problems or diagnostics:
        return None, [*diagnostics, *problems]
    files = tuple(
        TargetFile(
            entry.path, entry.template, entry.per == "run", document.value(("files", index, "path")), entry.max_bytes
        )
        for index, entry in enumerate(spec.files)
    )
    versions = {"podman": spec.versions.podman, "systemd": spec.versions.systemd}
    needed = tuple((program, oldest) for program, oldest in versions.items() if oldest is not None)
    target = Target(name, spec.description, tuple(spec.needs), files, folder, label, options, needed)
    return replace(target, beside=tuple(spec.beside), max_own_files=spec.max_own_files), []


def _missing_template(document: Document, folder: Path, index: int, entry: TargetFileSpec) -> list[Diagnostic]:
    name = entry.template
    if name.startswith(BUILT_IN):
        found, message = _built_in(name), f"slmc brings no template `{name}`."
        known = [f"{BUILT_IN}{other}" for other in template_names(shipped("targets"))]
        otherwise = f"Those of slmc's targets are called `{BUILT_IN}TARGET/FILE`."
    else:
        found, message = inside(folder, name), f"The target's folder has no template `{name}`."
        known, otherwise = template_names(folder), f"Templates lie in the folder of `{DEFINITION}`."
    if found:
        return []
    place = document.value(("files", index, "template"))
    return [Diagnostic(Code.BAD_TARGET, message, place, did_you_mean(name, known, otherwise))]


def _unknown(workspace: Path, use: TargetUse) -> Diagnostic:
    folders = [folder for folder in (workspace / "targets", shipped("targets")) if folder.is_dir()]
    names = {path.name for folder in folders for path in folder.iterdir() if (path / DEFINITION).is_file()}
    known = ", ".join(f"`{name}`" for name in sorted(names))
    near = _RENAMED.get(use.name) or near_name(use.name, names)
    similar = "is its name now" if use.name in _RENAMED else "has a similar name"
    help = f"`{near}` {similar}." if near else f"Known: {known}; a folder `targets/{use.name}` adds one."
    return Diagnostic(Code.UNKNOWN_REFERENCE, f"No target is named `{use.name}`.", use.place, help)
