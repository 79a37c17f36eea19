"""Fleets that show what a target has to cope with, as the fleet stage would give them."""

from __future__ import annotations

from dataclasses import replace

from compiler.base.codes import Code
from compiler.bundle.bundles import Bundles, levels_for
from compiler.bundle.checks import check_targets
from compiler.bundle.render import render
from compiler.fit.check import check
from compiler.fleet.graph import Fleet, Run, Runtime, TargetOption, TargetUse
from tests.conftest import REPOSITORY
from tests.values import CLASS, COHORT, DEVICE, FLEET, MIB, PLACE, PRIVACY, RUN, artifacts_of, digest

TARGETS = tuple(TargetUse(name, PLACE) for name in ("systemd", "container", "quadlet", "kubernetes"))
SERVED = replace(RUN, image=f"registry.example/slm-server@{digest('f')}", command=("/usr/lib/slmc/slm-server",))

RUNTIME = Runtime(
    "builtin/onnxruntime",
    command=("/opt/slmc/bin/slmc-serve", "--bundle", "{bundle}", "--run", "{run}"),
    arguments=("--bundle", "{bundle}", "--run", "{run}"),
    tasks=("text-generation",),
    live="/livez",
    ready="/readyz",
    metrics="/metrics",
    notify=True,
    configuration="serve.json",
)

NASTY = (
    ("BACKSLASH", "C:\\new\\table\\"),
    ("BOOLEAN", "no"),
    ("CLOCK", "12:30:45"),
    ("CONTROL", "\x01\x1b[31m\x0b"),
    ("DOLLAR", "$HOME ${HOME} $(SLMC_PORT) $$ $"),
    ("EMPTY", ""),
    ("HASH", "# no comment"),
    ("JINJA", "{{ run.name }} {% raw %}"),
    ("JSON", '{"a": [1, "b\'c"]}'),
    ("LINES", "one\ntwo\r\n\tthree\n"),
    ("NUMBER", "0x1F"),
    ("OCTAL", "010"),
    ("ODD", "\ufeff\u2028\u00a0"),
    ("PERCENT", "%n 100% %%"),
    ("QUOTES", "\"double\" 'single' `back`"),
    ("SPACES", "  leading and trailing  "),
    ("SWITCH", "on"),
    ("TILDE", "~"),
    ("UNICODE", "größe 模型 😀"),
)  # fmt: skip
"""Environment variables that only survive the quoting made for each syntax."""

SERVER = "/usr/lib/slmc/slm-server"
NASTY_COMMAND = (SERVER, '--motto=100% "$HOME" it\'s', ";", "", "-", "a\\b\n", "${SLMC_PORT}", "😀")


def _fleet(*runs: Run, **changes: object) -> Fleet:
    hardware = changes.pop("device_class", CLASS)
    privacy = changes.pop("privacy", PRIVACY)
    cohort = replace(COHORT, runs=runs, device_class=hardware, privacy=privacy)
    return replace(FLEET, targets=TARGETS, cohorts=(cohort,), **changes)  # type: ignore[arg-type]


PLAIN = _fleet(SERVED)
TWO_RUNS = _fleet(
    SERVED,
    replace(SERVED, name="search.v2", port=8081, threads=1, context_length=512, memory_limit=512 * MIB),
    device_class=replace(CLASS, name="builtin/intel-n100-8g", arch="amd64", isa=("avx2",), systemd=257, cores=None),
)
EGRESS_ALLOWED = _fleet(SERVED, privacy=replace(PRIVACY, egress="allow"), region=None)
NASTY_STRINGS = _fleet(replace(SERVED, environment=NASTY, command=NASTY_COMMAND))
OLD_SYSTEMD = _fleet(SERVED, device_class=replace(CLASS, systemd=247, accelerators=("npu",)))
TWO_COHORTS = replace(
    PLAIN,
    cohorts=(
        replace(COHORT, runs=(SERVED,), devices=(replace(DEVICE, id="till-9"), DEVICE)),
        replace(
            COHORT,
            name="pi-berlin-3",
            runs=(replace(SERVED, threads=2),),
            devices=(replace(DEVICE, id="till-5"),),
        ),
    ),
)
VARIABLES = replace(
    _fleet(SERVED),
    variables=("SHOP_NAME", "TILL_SERIAL"),
    cohorts=(
        replace(
            COHORT,
            runs=(SERVED,),
            devices=(
                replace(DEVICE, variables=(("SHOP_NAME", 'Bäckerei "Süd", # 3'), ("TILL_SERIAL", "0x1F"))),
                replace(DEVICE, id="till-2", variables=(("TILL_SERIAL", "0017"),)),
                replace(DEVICE, id="till-3"),
            ),
        ),
    ),
)

OWN_RUNTIME = _fleet(
    replace(
        SERVED,
        command=None,
        runtime=RUNTIME,
        limits=(("queue", 2), ("timeout", 5.0)),
        objectives=(("errorRate", 0.01), ("timeToFirstToken", 0.5)),
    ),
    replace(SERVED, name="other", port=8081),
)


def _use(name: str, **options: object) -> TargetUse:
    return TargetUse(name, PLACE, tuple(TargetOption(key, options[key], PLACE, PLACE) for key in sorted(options)))


CLUSTER = replace(
    OWN_RUNTIME,
    targets=(
        *(use for use in TARGETS if use.name != "kubernetes"),
        _use(
            "kubernetes",
            maxUnavailable="10%",
            registry="oci://registry.shop.example:5000/models/slm",
            registryAddress="192.0.2.7",
            registrySecret="registry",
            fetchImage=f"registry.example/curl@{digest('e')}",
        ),
        _use("flux", repository="ssh://git@git.example/shops.git", path="edge/deploy", secret="deploy-key"),
        _use("argocd", repository="https://git.example/shops.git", branch="no", wave=-3),
        _use("kserve", claim="models", replicas=2),
    ),
)
"""What runs on a cluster, and what keeps it so, each with options."""

BASE_IMAGE = f"registry.example/python@{digest('b')}"
OPTIONS = replace(
    _fleet(
        replace(RUN, image=SERVED.image, command=None, runtime=RUNTIME, threads=2),
        device_class=replace(CLASS, name="mini", arch="amd64", cores=None, systemd=257, podman="5.4"),
    ),
    targets=(
        TargetUse("systemd", PLACE),
        TargetUse("kubernetes", PLACE),
        TargetUse("container", PLACE, (TargetOption("baseImage", BASE_IMAGE, PLACE, PLACE),)),
        TargetUse("quadlet", PLACE),
    ),
)
"""A fleet that says on what to build the image, for devices with new programs."""

OBSERVED = replace(
    _fleet(
        replace(
            SERVED,
            runtime=RUNTIME,
            objectives=(("errorRate", 0.01), ("latencyP95", 2.0), ("timePerToken", 0.08), ("timeToFirstToken", 0.36)),
        ),
        replace(
            SERVED,
            name="search.v2",
            port=8081,
            model=replace(SERVED.model, task="embeddings"),
            runtime=replace(RUNTIME, tasks=("embeddings",)),
            limits=(("queue", 0),),
            objectives=(("latencyP95", 300.0), ("timePerToken", 0.1)),
        ),
        privacy=replace(PRIVACY, telemetry=("latency", "errors", "tokens", "memory")),
    ),
    targets=(TargetUse("prometheus", PLACE),),
)
"""Every objective, and those of a model that generates no tokens."""

LITTLE_OBSERVED = replace(
    _fleet(
        replace(SERVED, runtime=RUNTIME, objectives=(("errorRate", 0.5), ("latencyP95", 2.0))),
        replace(SERVED, name="foreign", port=8081, runtime=replace(RUNTIME, configuration=None, metrics="/stats")),
    ),
    targets=(TargetUse("prometheus", PLACE),),
)
"""No telemetry at all, and another runtime."""

UNOBSERVED = replace(PLAIN, targets=(TargetUse("prometheus", PLACE),))

SCENARIOS = {
    "plain": PLAIN,
    "two-runs-amd64": TWO_RUNS,
    "egress-allowed": EGRESS_ALLOWED,
    "nasty-strings": NASTY_STRINGS,
    "old-systemd": OLD_SYSTEMD,
    "two-cohorts": TWO_COHORTS,
    "variables": VARIABLES,
    "own-runtime": OWN_RUNTIME,
    "cluster": CLUSTER,
    "options": OPTIONS,
}
WATCHED = {"observed": OBSERVED, "little-observed": LITTLE_OBSERVED, "unobserved": UNOBSERVED}
"""For Prometheus alone."""


def rendered(*fleets: Fleet) -> Bundles:
    """The bundles of fleets in which nothing is wrong, but for objectives that nothing can watch."""
    artifacts = artifacts_of()
    targets, diagnostics = check_targets(REPOSITORY, fleets)
    assert {diagnostic.code for diagnostic in diagnostics} <= {Code.UNWATCHED_OBJECTIVE}
    estimates, diagnostics = check(fleets, artifacts)
    assert diagnostics == []
    bundles = render(
        targets, fleets, artifacts, estimates, {fleet.name: levels_for(len(fleet.cohorts)) for fleet in fleets}
    )
    bundles.files()
    assert bundles.diagnostics == []
    return bundles


def files_of(fleet: Fleet, target: str) -> dict[str, bytes]:
    """The files of the one bundle that the fleet has for `target`."""
    return dict(next(bundle.files for bundle in rendered(fleet).bundles if bundle.target == target))
