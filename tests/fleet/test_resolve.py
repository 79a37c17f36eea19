"""A workspace becomes exactly these values."""

from __future__ import annotations

from pathlib import Path

from compiler.base.span import Span
from compiler.fleet.devices import Device, Origin, Setting
from compiler.fleet.graph import Cohort, DeviceClass, Fleet, Gate, Model, Privacy, Recipe, Run, Step, TargetUse
from tests.fleet.workspaces import PARTS, cohorts, fleet_text, resolved, resolved_folder
from tests.values import PLACE, SameOrigins

GIB = 2**30
CHAT = Model("chat", "1.4.0", "text-generation", "MIT", "models/chat", "held-out.jsonl", 1000, PLACE, PLACE)
SMALL = Recipe(
    "small",
    (
        Step("optimize", {"level": "extended"}, PLACE),
        Step(
            "quantize",
            {
                "scheme": "int4",
                "method": "rtn",
                "blockSize": 64,
                "symmetric": False,
                "embeddings": "int8",
                "head": "quantize",
                "activations": "int8",
            },
            PLACE,
        ),
    ),
    (
        Gate("perplexity", "max", 20.0, PLACE),
        Gate("topOneAgreement", "min", 0.9, PLACE),
        Gate("size", "max", 1048576.0, PLACE),
    ),
    PLACE,
)
DYNAMIC = {"scheme": "int8-dynamic", "perChannel": True, "reduceRange": False, "embeddings": "int8"}
FAST = Recipe("fast", (Step("quantize", DYNAMIC, PLACE),), (), PLACE)
TILL = DeviceClass(
    "till",
    "arm64",
    8 * GIB,
    32 * 10**9,
    2 * GIB,
    0,
    4,
    ("neon", "dotprod", "fp16"),
    (),
    12.0,
    80.0,
    "2023",
    252,
    PLACE,
    "4.3",
)
OFFICE = DeviceClass("office", "amd64", 8 * GIB, 100 * 10**9, 0, 0, None, (), (), None, None, None, None, PLACE)

BODY = """
    region: eu
    privacy: {residency: eu, telemetry: [latency]}
    runs:
      assistant:
        model: chat@1.4.0
        recipe: small
        environment: {LOG: info, LANG: C}
        serve: {command: [/bin/server, --fast]}
      search: {model: chat@1.4.0, recipe: fast, match: {class: till}}
    overlays:
      - match: {site: [berlin, paris]}
        runs:
          assistant: {threads: 2, contextLength: 128, environment: {LOG: debug, X: "1"}}
      - match: {class: office}
        runs: {assistant: {threads: 3, memoryLimit: 1GiB, serve: {port: 9000}}}
"""


def device(id: str, device_class: str) -> Device:
    return Device(id, device_class, (("site", id.partition("-")[0]),), PLACE)


def test_fleet_is_resolved_to_objects(tmp_path: Path) -> None:
    fleet, diagnostics = resolved(tmp_path, BODY)
    command = ("/bin/server", "--fast")
    plain = (("LANG", "C"), ("LOG", "info"))
    debug = (("LANG", "C"), ("LOG", "debug"), ("X", "1"))
    privacy = Privacy("personal", "eu", "deny", ("latency",))
    search = Run("search", CHAT, FAST, 4, None, None, None, None, 8081, (), PLACE)
    expected = Fleet(
        "shops",
        "eu",
        (TargetUse("systemd", PLACE),),
        privacy,
        (
            Cohort(
                "office-berlin-paris",
                OFFICE,
                (Run("assistant", CHAT, SMALL, 2, 128, GIB, None, command, 9000, debug, PLACE),),
                (device("berlin-2", "office"),),
                privacy,
                SameOrigins(),
            ),
            Cohort(
                "till",
                TILL,
                (Run("assistant", CHAT, SMALL, 4, None, None, None, command, 8080, plain, PLACE), search),
                (device("lyon-1", "till"), device("lyon-2", "till")),
                privacy,
                SameOrigins(),
            ),
            Cohort(
                "till-berlin-paris",
                TILL,
                (Run("assistant", CHAT, SMALL, 2, 128, None, None, command, 8080, debug, PLACE), search),
                (device("berlin-1", "till"),),
                privacy,
                SameOrigins(),
            ),
        ),
        PLACE,
    )
    assert diagnostics == []
    assert fleet == expected
    assert fleet.devices == 4


def test_every_value_has_its_provenance(tmp_path: Path) -> None:
    fleet, _ = resolved(tmp_path, BODY)
    office = fleet.cohorts[0]
    shown = {path: show(setting) for path, setting in office.provenance.items()}
    assert shown == {
        "region": "eu @8 `eu`",
        "targets": "['systemd'] @6 `targets`",
        "privacy.dataClass": "personal default",
        "privacy.residency": "eu @9 `eu`",
        "privacy.egress": "deny default",
        "privacy.telemetry": "['latency'] @9 `telemetry`",
        "runs.assistant.model": "chat@1.4.0 @12 `chat@1.4.0`",
        "runs.assistant.recipe": "small @13 `small`",
        "runs.assistant.threads": "2 @20 `2` < 3 @22 `3` < 4 default",
        "runs.assistant.contextLength": "128 @20 `128` < None default",
        "runs.assistant.memoryLimit": "1073741824 @22 `1GiB` < None default",
        "runs.assistant.serve.runtime": "None default",
        "runs.assistant.serve.image": "None default",
        "runs.assistant.serve.command": "['/bin/server', '--fast'] @15 `command`",
        "runs.assistant.serve.port": "9000 @22 `9000` < None default",
        "runs.assistant.environment.LOG": "debug @20 `debug` < info @14 `info`",
        "runs.assistant.environment.LANG": "C @14 `C`",
        "runs.assistant.environment.X": '1 @20 `"1"`',
    }


def show(setting: Setting) -> str:
    """The value with the line and the words that set it, then what that overrode."""
    origins: list[Setting | Origin] = [setting, *setting.overrode]
    return " < ".join(f"{one.value} {words(one.place) if one.place else 'default'}" for one in origins)


def words(place: Span) -> str:
    line = place.source.line(place.line)
    return f"@{place.line} `{line[place.column - 1 :][: place.length]}`"


def test_devices_that_come_to_one_configuration_by_other_lines_keep_their_own_provenance(tmp_path: Path) -> None:
    fleet, diagnostics = resolved(
        tmp_path,
        """
    runs:
      assistant: {model: chat@1.4.0, recipe: small}
    overlays:
      - {match: {device: lyon-1}, runs: {assistant: {threads: 2}}}
      - {match: {device: lyon-2}, runs: {assistant: {threads: 2}}}
      - {match: {site: lyon}, runs: {assistant: {recipe: small}}}
""",
    )
    assert diagnostics == []
    assert cohorts(fleet) == {
        "office": ["berlin-2"],
        "till": ["berlin-1"],
        "till-lyon-1-lyon-2": ["lyon-1", "lyon-2"],
    }
    cohort = fleet.cohorts[2]
    threads = {id: show(cohort.provenance_of(id)["runs.assistant.threads"]) for id in ("lyon-1", "lyon-2")}
    assert threads == {"lyon-1": "2 @11 `2` < 4 default", "lyon-2": "2 @12 `2` < 4 default"}


def test_a_class_that_extends_the_one_asked_for_does_not_match(tmp_path: Path) -> None:
    fleet, diagnostics = resolved(
        tmp_path,
        "    runs:\n      assistant: {model: chat@1.4.0, recipe: small, match: {class: till}}\n",
        "id,class\na,till\nb,kiosk\n",
    )
    assert diagnostics == []
    assert cohorts(fleet) == {"till": ["a"]}
    assert fleet.idle == (Device("b", "kiosk", (), PLACE),)


def test_inventories_of_both_kinds_make_one_fleet(tmp_path: Path) -> None:
    (tmp_path / "parts.slmc.yaml").write_text(PARTS)
    body = "    runs:\n      assistant: {model: chat@1.4.0, recipe: small, match: {floor: '1'}}\n"
    text = fleet_text(body).replace("shops.csv", "[b.csv, sub/a.jsonl]")
    (tmp_path / "fleet.slmc.yaml").write_text(text)
    (tmp_path / "b.csv").write_text('site,class,floor,id\n"Halle, Saale",till,1,b\nlyon,till,,c\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jsonl").write_text('{"id": "a", "floor": "1", "class": "till", "site": ""}\n\n')
    fleet, diagnostics = resolved_folder(tmp_path)
    assert diagnostics == []
    (cohort,) = fleet.cohorts
    assert cohort.devices == (
        Device("a", "till", (("floor", "1"),), PLACE),
        Device("b", "till", (("floor", "1"), ("site", "Halle, Saale")), PLACE),
    )
    assert [str(d.place) for d in (*cohort.devices, *fleet.idle)] == ["sub/a.jsonl:1:9", "b.csv:2:23", "b.csv:3:12"]
    assert fleet.idle == (Device("c", "till", (("site", "lyon"),), PLACE),)


def test_references_to_what_an_unreadable_file_may_declare_stay_silent(tmp_path: Path) -> None:
    (tmp_path / "parts.slmc.yaml").write_text("models: [\n")
    (tmp_path / "fleet.slmc.yaml").write_text(fleet_text("    runs:\n      a: {model: chat@1.4.0, recipe: small}\n"))
    (tmp_path / "shops.csv").write_text("id,class\na,till\n")
    fleet, diagnostics = resolved_folder(tmp_path)
    assert {diagnostic.span.source.path for diagnostic in diagnostics if diagnostic.span} == {"parts.slmc.yaml"}
    assert fleet.cohorts == ()
