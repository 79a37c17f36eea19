"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from compiler.fleet.select import Selection
from compiler.report.outcome import Mode

F = TypeVar("F", bound=Callable[..., Any])


def workspace(function: F) -> F:
    """`-C DIR` and an optional argument, one value: `workspace`."""

    def choose(context: click.Context, parameter: click.Parameter, value: str | None) -> Path:
        option = context.params.pop("directory", None)
        if option is not None and value is not None:
            raise click.UsageError("Give the workspace once: as -C DIR or as the argument.", context)
        return Path(value or option or ".")

    argument = click.argument("workspace", metavar="[WORKSPACE]", required=False, callback=choose)
    return argument(directory(function))


def directory(function: F) -> F:
    """`-C DIR` alone, for commands whose argument is something else."""
    option = click.option(
        "-C", "directory", metavar="DIR", is_eager=True, help="The workspace (default: current folder)."
    )
    return option(function)


def output_format(function: F) -> F:
    """`--format text|json`."""
    choice = click.Choice(["text", "json"])
    return click.option("--format", "output_format", type=choice, default="text", help="For people or for tools.")(
        function
    )


def selection(function: F) -> F:
    """`--fleet`, `--cohort` and `--match`, one value: `selection`."""

    def choose(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> Selection:
        match: dict[str, tuple[str, ...]] = {}
        for pair in value:
            key, equals, wanted = pair.partition("=")
            if not key or not equals:
                raise click.BadParameter(f"`{pair}` is not KEY=VALUE, such as site=berlin-3.", context, parameter)
            match[key] = (*match.get(key, ()), wanted)
        params = context.params
        return Selection(tuple(params.pop("fleets", ())), tuple(params.pop("cohorts", ())), match)

    fleet = click.option("--fleet", "fleets", metavar="NAME", multiple=True, is_eager=True, help="Only this fleet.")
    cohort = click.option("--cohort", "cohorts", metavar="NAME", multiple=True, is_eager=True, help="Only this cohort.")
    match = click.option(
        "--match",
        "selection",
        metavar="KEY=VALUE",
        multiple=True,
        callback=choose,
        help="Only devices with this class, device id or label; repeat KEY for one of several values.",
    )
    return fleet(cohort(match(function)))


def mode(function: F) -> F:
    """`--check` and `--locked`, one value: `mode`."""

    def choose(context: click.Context, parameter: click.Parameter, locked: bool) -> Mode:
        check = context.params.pop("check", False)
        if check and locked:
            raise click.UsageError(
                "--check and --locked exclude each other: --check writes nothing and builds nothing.", context
            )
        return Mode.CHECK if check else Mode.LOCKED if locked else Mode.COMPILE

    check = click.option(
        "--check",
        is_flag=True,
        is_eager=True,
        help="Write nothing; exit 3 when the committed tree is not what the blueprint gives.",
    )
    locked = click.option(
        "--locked", "mode", is_flag=True, callback=choose, help="Build nothing; take every artifact from slmc.lock."
    )
    return check(locked(function))


class _Jobs(click.IntRange):
    """A bad number says where it comes from: who set the variable may have forgotten it."""

    variable = "SLMC_JOBS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            given = ctx and param and param.name and ctx.get_parameter_source(param.name)
            if given is not ParameterSource.ENVIRONMENT:
                raise
            message = f"{self.variable} is `{value}` in the environment; it is a number of processes, 1 or more."
            raise click.UsageError(message, ctx) from None


def jobs(function: F) -> F:
    """`--jobs N`, else `$SLMC_JOBS`; 0 where neither is given."""
    return click.option(
        "--jobs",
        metavar="N",
        type=_Jobs(min=1),
        envvar=_Jobs.variable,
        help="At most N processes at a time (default: $SLMC_JOBS, else one for each processor).",
    )(function)
