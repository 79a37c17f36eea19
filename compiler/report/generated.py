"""What a line of a generated file came from: the question of `slmc where deploy/…/file:14`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from compiler.artifact.artifact import Artifacts
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, did_you_mean
from compiler.base.span import Source
from compiler.bundle.bundles import FOLDER, cohort_folder, levels_for
from compiler.bundle.context import cohort_context
from compiler.bundle.index import DEVICES, device_index
from compiler.bundle.manifest import ARTIFACTS, GOLDEN, SUMS
from compiler.bundle.render import render
from compiler.bundle.serving import SERVE
from compiler.bundle.targets import Target, Use
from compiler.bundle.trace import Fact, TracedLine, TracingEnvironment, maker
from compiler.fit.check import Estimate, check
from compiler.fleet.catalogue import declared
from compiler.fleet.devices import Device, Setting
from compiler.fleet.graph import Cohort, Fleet
from compiler.fleet.match import comparable
from compiler.report.grounds import Ground, LockText
from compiler.report.outcome import Outcome
from compiler.report.own_files import artifact_facts, golden_facts, serve_facts, users_of
from compiler.report.shown_value import ShownValue, ShownValues


@dataclass(frozen=True, slots=True)
class Explained:
    """One line of a generated file, by `number` from 1 on.

    `template` is the template's line (`FILE:LINE`), absent where slmc itself wrote it: then `note` says what it is.
    `conditions` decided whether the line is there at all.
    """

    number: int
    text: str
    origins: tuple[ShownValue, ...] = ()
    conditions: tuple[ShownValue, ...] = ()
    template: str | None = None
    template_text: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """A path below the output folder, taken apart. Without `cohort` it is an index of the fleet's devices."""

    fleet: Fleet
    cohort: Cohort | None
    target: str
    name: str

    @property
    def alone(self) -> Fleet:
        """The fleet with nothing but this cohort and target."""
        cohorts = (self.cohort,) if self.cohort else ()
        return replace(
            self.fleet, cohorts=cohorts, targets=tuple(u for u in self.fleet.targets if u.name == self.target)
        )


def locate(fleets: Iterable[Fleet], path: str) -> tuple[Located | None, list[Diagnostic]]:
    """`shops/counter-pi/systemd/slmc-counter.service` → whose file it is."""
    listed = tuple(fleets)
    first, *rest = path.split("/")
    fleet = next((fleet for fleet in listed if fleet.name == first), None)
    if fleet is None:
        return None, [_unknown(path, f"no fleet is named `{first}`", did_you_mean(first, [f.name for f in listed]))]
    cohorts = [cohort.name for cohort in fleet.cohorts]
    levels = levels_for(len(cohorts))
    if levels and rest[:1] == [FOLDER] and rest[-1] != SUMS:
        rest = rest[1 + levels :]
    if path.endswith((".csv", f"/{SUMS}")) and (len(rest) < 3 or rest[0] not in cohorts):
        return Located(fleet, None, "", path), []
    if not rest or rest[0] not in cohorts:
        near = did_you_mean(rest[0] if rest else "", [*cohorts, DEVICES])
        return None, [_unknown(path, f"fleet `{first}` has no such cohort or index", near)]
    if len(rest) < 3:
        return None, [_unknown(path, "it is a folder", "Name a file of it.")]
    cohort = next(cohort for cohort in fleet.cohorts if cohort.name == rest[0])
    if not any(use.name == rest[1] for use in fleet.targets):
        near = did_you_mean(rest[1], [use.name for use in fleet.targets])
        return None, [_unknown(path, f"fleet `{first}` has no target `{rest[1]}`", near)]
    return Located(fleet, cohort, rest[1], "/".join(rest[2:])), []


Explanation = tuple[tuple[Explained, ...], bytes]
"""Every line of a file, and the file as the blueprint gives it now."""


def explain(
    outcome: Outcome, located: Located, lock: LockText, device: str | None
) -> tuple[Explanation, list[Diagnostic]]:
    """Every line of the file. Of a bundle, `outcome` has the artifacts and the estimate of its cohort."""
    nothing: Explanation = (), b""
    members = [located.cohort] if located.cohort else located.fleet.cohorts
    if device and not any(member.id == device for cohort in members for member in cohort.devices):
        ids = [member.id for cohort in members for member in cohort.devices]
        message = f"`{device}` is none of the devices that this file is for."
        return nothing, [Diagnostic(Code.UNKNOWN_REFERENCE, message, help=did_you_mean(device, comparable(set(ids))))]
    if located.cohort is None:
        return _index(located, device)
    assert outcome.blueprint and outcome.artifacts
    levels = {located.fleet.name: levels_for(len(located.fleet.cohorts))}
    bundles = render(outcome.targets, [located.alone], outcome.artifacts, outcome.estimates, levels)
    (bundle,) = bundles.bundles
    files, diagnostics = bundle.files, bundles.diagnostics
    data = files.get(located.name)
    if data is None:
        path, why = f"{bundle.folder}/{located.name}", f"the bundle has no `{located.name}`"
        return nothing, [*diagnostics, _unknown(path, why, did_you_mean(located.name, files))]
    scene = scene_of(outcome, located.fleet, located.cohort, lock, located.target, device)
    return (tuple(_of_bundle(scene, outcome.estimates[0], located.name, files)), data), diagnostics


def scene_of(
    outcome: Outcome, fleet: Fleet, cohort: Cohort, lock: LockText, target: str | None, device: str | None
) -> ShownValues:
    """What is known of one cohort."""
    assert outcome.blueprint is not None
    catalogue, _ = declared()
    artifacts = Artifacts({name: entry.artifact for name, entry in lock.lock.artifacts.items()}, {})
    narrow = replace(fleet, cohorts=(cohort,))
    estimates = {run.run: run for estimate in check([narrow], artifacts)[0] for run in estimate.runs}
    used = outcome.targets.get(target or "")
    return ShownValues(fleet, cohort, used, outcome.blueprint, catalogue, lock, artifacts, estimates, device)


def chosen(
    lines: tuple[Explained, ...], file: str, number: int | None
) -> tuple[tuple[Explained, ...], list[Diagnostic]]:
    """The line that was asked for, or all. Where the first line is missing, `lines` are those of one device."""
    if number is None or not lines:
        return lines, []
    found = tuple(line for line in lines if line.number == number)
    message = f"`{file}` has no line {number}: the blueprint gives it {len(lines)}."
    if lines[0].number > 1:
        message = f"Line {number} of `{file}` is not about this device, which has line {lines[0].number}."
    return found, [] if found else [Diagnostic(Code.UNKNOWN_REFERENCE, message)]


def remark(on_disk: Path, name: str, given: bytes) -> str:
    """Where the file is not what the blueprint gives, which is what the answer is about."""
    try:
        same = on_disk.read_bytes() == given
    except OSError:
        return f"`{name}` is not there yet: this is what `slmc compile` would write."
    return "" if same else f"`{name}` is another now: this is about what `slmc compile` would write."


def _of_bundle(scene: ShownValues, estimate: Estimate, name: str, files: Mapping[str, bytes]) -> Iterator[Explained]:
    """Every line of the file `name` of a bundle with these files."""
    text = files[name].decode()
    if name == SUMS:
        yield from (_of_sum(number, line, scene) for number, line in _numbered(text))
        return
    if name == ARTIFACTS:
        note = "What the device needs beside the bundle, written by slmc."
        for (number, line), facts in zip(_numbered(text), artifact_facts(text, scene), strict=True):
            yield _resolved(scene, number, line, facts, note)
        return
    if name == GOLDEN:
        note = "What the artifact gave on the build machine for a few inputs: the device's self-test, written by slmc."
        for (number, line), facts in zip(_numbered(text), golden_facts(text, scene), strict=True):
            yield _resolved(scene, number, line, facts, note)
        return
    if name == SERVE:
        note = "What slmc's own runtime is told of the run, written by slmc."
        for (number, line), facts in zip(_numbered(text), serve_facts(text), strict=True):
            yield _resolved(scene, number, line, facts, note)
        return
    assert scene.target is not None
    folder = cohort_folder(scene.fleet.name, scene.cohort.name, levels_for(len(scene.fleet.cohorts)))
    context = cohort_context(scene.fleet, scene.cohort, scene.artifacts, estimate, folder)
    use = next(use for use in scene.fleet.targets if use.name == scene.target.name)
    context["target"] = Use.of(scene.target, use).facts()
    context["files"] = {own: files[own].decode() for own in (ARTIFACTS, GOLDEN, SERVE) if own in files}
    if made := maker(scene.target, context, name):
        lines = TracingEnvironment(scene.target).trace(*made)
        yield from (_traced(scene, scene.target, number, line) for number, line in enumerate(lines, start=1))


def _index(located: Located, device: str | None) -> tuple[Explanation, list[Diagnostic]]:
    """Every line of an index of devices, or of the checksums of its shards; of one device, its row alone."""
    files = device_index(located.fleet)
    data = files.get(located.name)
    if data is None:
        near = did_you_mean(located.name, files)
        return ((), b""), [_unknown(located.name, f"fleet `{located.fleet.name}` has no such index", near)]
    lines = explain_index(located.fleet, located.name, data.decode())
    if device is not None and not located.name.endswith(SUMS):
        lines = [line for line in lines if line.origins and line.origins[0].setting.value == device]
        if not lines:
            return ((), b""), [_unknown(located.name, f"it has no row of `{device}`", None)]
    return (tuple(lines), data), []


def explain_index(fleet: Fleet, name: str, text: str) -> list[Explained]:
    """Every line of an index of devices, or of the checksums of its shards."""
    devices = {device.id: (device, cohort) for cohort in fleet.cohorts for device in cohort.devices}
    lines = []
    for number, line in _numbered(text):
        row = devices.get(line.split(",")[0].strip('"'))
        if name.endswith(f"/{SUMS}"):
            note = f"The sha256 of `{line[66:]}` beside it, which has a part of the fleet's devices."
            lines.append(Explained(number, line, note=note))
        elif number == 1 or row is None:
            lines.append(Explained(number, line, note="The columns of the index, written by slmc."))
        else:
            lines.append(
                Explained(number, line, _of_device(*row), note="A row of the index of devices, written by slmc.")
            )
    return lines


def _of_device(device: Device, cohort: Cohort) -> tuple[ShownValue, ...]:
    hardware = cohort.device_class
    declared = Setting(hardware.name, hardware.place or device.place)
    changed = [
        Ground(f"`{key}`: {json.dumps(setting.value, ensure_ascii=False)}", str(setting.place))
        for key, setting in sorted(cohort.origins.of(device).items())
        if setting.place and setting.overrode
    ]
    grounds = [Ground("its device class, and the overlays that set values of it"), *changed]
    return (
        ShownValue("id", None, Setting(device.id, device.place), 1),
        ShownValue("class", f"deviceClasses.{hardware.name}", declared, 1),
        ShownValue("cohort", None, Setting(cohort.name, None), 1, tuple(grounds)),
    )


def _of_sum(number: int, line: str, scene: ShownValues) -> Explained:
    name = line[66:]
    if name != ARTIFACTS:
        return Explained(number, line, note=f"The sha256 of `{name}` beside it: ask for a line of that file.")
    users = users_of(scene.cohort)
    facts = tuple(("runs", users[artifact], "artifact", "digest") for artifact in sorted(users))
    return _resolved(scene, number, line, facts, f"The sha256 of `{name}` beside it, which names the artifacts.")


def _resolved(scene: ShownValues, number: int, line: str, facts: tuple[Fact, ...], note: str) -> Explained:
    return Explained(number, line, tuple(origin for fact in facts for origin in scene.of(fact)), note=note)


def _traced(scene: ShownValues, target: Target, number: int, line: TracedLine) -> Explained:
    origins, conditions = (
        tuple({repr(origin): origin for fact in facts for origin in scene.of(fact)}.values())
        for facts in (line.facts, line.conditions)
    )
    template = f"{target.called(line.template)}:{line.template_line}"
    text = _template_line(target, line.template, line.template_line)
    return Explained(number, line.text, origins, conditions, template, text)


def _template_line(target: Target, template: str, number: int) -> str:
    path = target.template(template)
    return Source(template, path.read_text(encoding="utf-8")).line(number) if path else ""


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    return enumerate(text.removesuffix("\n").split("\n"), start=1)


def _unknown(path: str, why: str, help: str | None) -> Diagnostic:
    return Diagnostic(Code.UNKNOWN_REFERENCE, f"`{path}` is no file of a bundle: {why}.", help=help)
