"""Choices of recipes: who is eligible, who is the best, and what stays as the lock has it."""

from __future__ import annotations

from dataclasses import replace

from compiler.artifact.artifact import Artifact, Artifacts, File, Refusal, Speed
from compiler.artifact.measuring.gates import Miss
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.fit.choose import Candidate, Decision, choose, decided
from compiler.fleet.graph import Fleet, Gate, Recipe
from tests.values import ARTIFACT, CLASS, MIB, MODEL, OPTIMIZE, PLACE, RUN, SHAPE, digest, fleet_of

NAMES = ("small", "fast", "good")
RECIPES = {name: Recipe(name, (), (), PLACE) for name in NAMES}
ENTRY = {"small": ("1", 50, 20.0), "fast": ("2", 80, 90.0), "good": ("3", 200, 40.0)}
"""Digest, MiB and tokens per second."""


def artifact(name: str) -> Artifact:
    letter, size, speed = ENTRY[name]
    return replace(
        ARTIFACT,
        name=f"assistant-1.4.0-{name}",
        recipe=name,
        digest=digest(letter),
        files=(File("model.onnx", size * MIB, digest(letter)),),
        shape=replace(SHAPE, weight_bytes=size * MIB),
        speed=Speed(speed, 300 * MIB, "a processor"),
    )


ARTIFACTS = Artifacts({artifact(name).name: artifact(name) for name in NAMES}, {})
LOCKED = Artifacts({name: replace(one, speed=None) for name, one in ARTIFACTS.artifacts.items()}, {})


def fleet(minimize: str) -> Fleet:
    choice = Recipe("one of them", (), (), PLACE, tuple(RECIPES.values()), minimize)
    return fleet_of(replace(RUN, recipe=choice))


def missing(why: str, *names: str) -> dict[str, list[Miss]]:
    miss = Miss(Gate("size", "max", 1.0, PLACE), Diagnostic(Code.GATE_FAILED, f"{why}.", PLACE))
    return {f"assistant-1.4.0-{name}": [miss] for name in names}


SLOW = Miss(Gate("tokensPerSecond", "min", 30.0, PLACE), Diagnostic(Code.GATE_FAILED, "It is 20.", PLACE))


def candidates(**dropped: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(name, digest(ENTRY[name][0]), dropped.get(name, "")) for name in NAMES)


def decision(minimize: str, recipe: str, **dropped: str) -> Decision:
    return Decision("shops", "chat", "pi", MODEL.id, minimize, recipe, candidates(**dropped))


def test_each_aim_has_its_own_best() -> None:
    picked = {}
    for minimize in ("size", "memory", "latency", "energy"):
        (fleets, decisions), diagnostics = choose([fleet(minimize)], ARTIFACTS, {}, ())
        (found,) = decisions
        assert diagnostics == []
        assert found == decision(minimize, found.recipe)
        assert fleets[0].cohorts[0].runs == (replace(RUN, recipe=RECIPES[found.recipe]),)
        picked[minimize] = found.recipe, found.figures
    cache_and_runtime = 98
    assert picked == {
        "size": ("small", {"small": 50 * MIB, "fast": 80 * MIB, "good": 200 * MIB}),
        "memory": ("small", {name: (ENTRY[name][1] + cache_and_runtime) * MIB for name in NAMES}),
        "latency": ("fast", {"small": 50.0, "fast": 1000 / 90, "good": 25.0}),
        "energy": ("fast", {"small": 0.6, "fast": 1000 / 90 * 12 / 1000, "good": 0.3}),
    }


def test_what_fails_a_gate_or_does_not_fit_is_dropped_with_the_reason() -> None:
    missed = missing("`size` of it is too large", "small")
    tight = fleet("size")
    cohort = replace(tight.cohorts[0], device_class=replace(CLASS, storage=1400 * MIB))
    (_, decisions), _ = choose([replace(tight, cohorts=(cohort,))], ARTIFACTS, missed, ())
    assert decisions == (
        decision(
            "size",
            "fast",
            small="`size` of it is too large",
            good="it needs 400.0 MiB of storage, and 312.0 MiB are there",
        ),
    )


def test_none_left_is_an_error_with_every_reason() -> None:
    missed = missing("`klDivergence` is too large", "small", "fast")
    good = "assistant-1.4.0-good"
    rest = Artifacts(
        {name: one for name, one in ARTIFACTS.artifacts.items() if name != good},
        {},
        {good: Refusal(digest("k"), 0, "There is no `batch`.")},
    )
    choice = fleet("size").cohorts[0].runs[0].recipe
    steps = tuple(replace(one, steps=(OPTIMIZE,)) for one in choice.choice)
    asked = fleet_of(replace(RUN, recipe=replace(choice, choice=steps)))
    (fleets, decisions), (finding,) = choose([asked], rest, missed, ())
    assert (fleets, decisions) == ((asked,), ())
    assert (finding.code, finding.span) == (Code.NO_CANDIDATE, PLACE)
    assert finding.message == (
        "No recipe of the choice for `chat` suits `pi`. `small`: `klDivergence` is too large; "
        "`fast`: `klDivergence` is too large; `good`: step 1 (`optimize`) does not apply: There is no `batch`."
    )


def test_a_decision_of_the_lock_stays_while_its_candidates_do() -> None:
    last = decision("latency", "good")
    (_, decisions), _ = choose([fleet("latency")], ARTIFACTS, {}, (last,))
    assert decisions == (last,)
    (_, decisions), _ = choose([fleet("latency")], LOCKED, {}, (last,))
    assert decisions == (last,)
    other = replace(last, candidates=(*candidates()[:2], Candidate("good", digest("9"))))
    (_, decisions), _ = choose([fleet("latency")], ARTIFACTS, {}, (other,))
    assert decisions == (decision("latency", "fast"),)


def test_a_decision_whose_recipe_is_dropped_now_is_made_anew() -> None:
    missed = missing("too bad", "small")
    (_, decisions), _ = choose([fleet("size")], ARTIFACTS, missed, (decision("size", "small"),))
    assert decisions == (decision("size", "fast", small="too bad"),)


def test_speed_that_is_not_known_here_decides_nothing() -> None:
    (_, decisions), (finding,) = choose([fleet("latency")], LOCKED, {}, ())
    assert decisions == ()
    assert finding.message.endswith(
        "`small`: nothing here says how it ranks; `fast`: nothing here says how it ranks; "
        "`good`: nothing here says how it ranks."
    )


def test_each_class_has_a_decision_of_its_own() -> None:
    both = fleet("size")
    roomy, tight = both.cohorts[0], replace(both.cohorts[0], name="box", device_class=replace(CLASS, name="box"))
    tight = replace(tight, device_class=replace(tight.device_class, memory=(512 + 150) * MIB))
    last = (decision("size", "good"), replace(decision("size", "good"), device_class="box"))
    (fleets, decisions), _ = choose([replace(both, cohorts=(roomy, tight))], ARTIFACTS, {}, last)
    dropped = {
        "fast": "it needs 178.0 MiB of memory (estimated), and 150.0 MiB are there",
        "good": "it needs 298.0 MiB of memory (estimated), and 150.0 MiB are there",
    }
    on_box = replace(decision("size", "small", **dropped), device_class="box")
    assert decisions == (on_box, decision("size", "good"))
    assert [cohort.runs[0].recipe.name for cohort in fleets[0].cohorts] == ["good", "small"]
    assert decided([both], decisions)[0].cohorts[0].runs[0].recipe.name == "good"


def test_a_gate_on_this_machine_is_named_without_its_figure() -> None:
    (_, decisions), _ = choose([fleet("size")], ARTIFACTS, {"assistant-1.4.0-small": [SLOW]}, ())
    found, *rest = candidates(small="the build did not hold `tokensPerSecond`")
    assert decisions == (replace(decision("size", "fast"), candidates=(replace(found, machine=True), *rest)),)


def test_what_is_not_selected_has_a_say_in_what_its_class_gets() -> None:
    """As a whole compile decides it; what no selected device runs is not decided at all."""
    roomy = fleet("size").cohorts[0]
    tight = replace(roomy, name="pi-tight", device_class=replace(CLASS, storage=1300 * MIB))
    box = replace(roomy, name="box", device_class=replace(CLASS, name="box"))
    whole = replace(fleet("size"), cohorts=(roomy, tight, box))
    part = replace(whole, cohorts=(roomy,))
    (fleets, decisions), _ = choose([part], ARTIFACTS, {}, (), [whole])
    (_, of_whole), _ = choose([whole], ARTIFACTS, {}, ())
    no_room = "it needs 400.0 MiB of storage, and 212.0 MiB are there"
    assert decisions == (decision("size", "small", good=no_room),)
    assert set(of_whole) == {*decisions, replace(decision("size", "small"), device_class="box")}
    assert fleets == decided([part], decisions)


def test_two_choices_of_one_run_are_two_decisions() -> None:
    """An overlay may give some devices of a class other candidates."""
    both = fleet("size")
    run = both.cohorts[0].runs[0]
    others = replace(run.recipe, name="others", choice=(RECIPES["fast"], RECIPES["good"]))
    berlin = replace(both.cohorts[0], name="pi-berlin", runs=(replace(run, recipe=others),))
    (fleets, decisions), diagnostics = choose([replace(both, cohorts=(*both.cohorts, berlin))], ARTIFACTS, {}, ())
    of_berlin = replace(decision("size", "fast"), candidates=candidates()[1:])
    assert diagnostics == []
    assert set(decisions) == {decision("size", "small"), of_berlin}
    assert [cohort.runs[0].recipe.name for cohort in fleets[0].cohorts] == ["small", "fast"]


def test_a_reason_in_other_words_decides_nothing_anew() -> None:
    last = decision("latency", "good", small="`size` of it is 3 MiB")
    (_, decisions), _ = choose([fleet("latency")], ARTIFACTS, missing("`size` of it is 3.1 MiB", "small"), (last,))
    assert decisions == (decision("latency", "good", small="`size` of it is 3.1 MiB"),)


def test_what_drops_or_comes_back_decides_anew() -> None:
    dropped, eligible = missing("too bad", "small"), decision("latency", "good")
    (_, decisions), _ = choose([fleet("latency")], ARTIFACTS, dropped, (eligible,))
    assert decisions == (decision("latency", "fast", small="too bad"),)
    (_, decisions), _ = choose([fleet("latency")], ARTIFACTS, {}, (decision("latency", "good", small="too bad"),))
    assert decisions == (decision("latency", "fast"),)


def test_a_gate_on_another_machine_decides_nothing_anew() -> None:
    """A slow machine drops a candidate and a fast one does not: the lock stays what the first of them made it."""
    slow = {"assistant-1.4.0-fast": [SLOW]}
    (_, here), _ = choose([fleet("latency")], ARTIFACTS, slow, ())
    why = "the build did not hold `tokensPerSecond`"
    assert [(one.dropped, one.machine) for one in here[0].candidates] == [("", False), (why, True), ("", False)]
    assert here[0].recipe == "good"
    (_, elsewhere), _ = choose([fleet("latency")], ARTIFACTS, {}, here)
    assert elsewhere == here
    (_, there), _ = choose([fleet("latency")], ARTIFACTS, {}, (decision("latency", "good"),))
    (_, again), _ = choose([fleet("latency")], ARTIFACTS, slow, there)
    assert again == there == (decision("latency", "good"),)


def test_what_was_decided_and_is_too_slow_here_is_decided_anew() -> None:
    slow = {"assistant-1.4.0-fast": [SLOW]}
    (_, decisions), _ = choose([fleet("latency")], ARTIFACTS, slow, (decision("latency", "fast"),))
    assert decisions[0].recipe == "good"


def test_energy_takes_the_power_of_the_class() -> None:
    choice = fleet("energy").cohorts[0].runs[0]
    unknown = fleet_of(choice, replace(CLASS, power_watts=None))
    (_, decisions), (finding,) = choose([unknown], ARTIFACTS, {}, ())
    assert decisions == ()
    why = "the class has no `powerWatts`"
    assert finding.message.endswith(f"`small`: {why}; `fast`: {why}; `good`: {why}.")
