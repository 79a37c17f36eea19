"""`slmc release`: signed files that let devices take a bundle."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from compiler.base.codes import Exit
from compiler.cli import options
from compiler.cli.output import Output
from compiler.publish import signing
from compiler.publish.release import FOLDER
from compiler.publish.releasing import Releases, Terms
from compiler.publish.shown import release_data, release_text
from compiler.publish.wanted import locked
from compiler.report.data import verdict

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=3660)


def _lifetime(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", value)
    lifetime = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if lifetime is None or lifetime > _LONGEST:
        raise click.BadParameter("it is a number of hours, days or weeks, such as 90d, and ten years at most.")
    return lifetime


def _terms(function: F) -> F:
    """`--expires`, `--renew` and `--fleet`, one value: `terms`."""

    def choose(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> Terms:
        now = datetime.now(UTC).replace(microsecond=0)
        lifetime, renew = context.params.pop("lifetime"), context.params.pop("renew")
        return Terms(now, lifetime, renew, frozenset(value) if value else None)

    expires = click.option(
        "--expires",
        "lifetime",
        metavar="TIME",
        default="90d",
        is_eager=True,
        callback=_lifetime,
        help="How long devices may take what is released now (default: 90d).",
    )
    renew = click.option("--renew", is_flag=True, is_eager=True, help="New serial and expiry for what has not changed.")
    fleet = click.option("--fleet", "terms", metavar="NAME", multiple=True, callback=choose, help="Only this fleet.")
    return expires(renew(fleet(function)))


@click.command()
@options.workspace
@click.option("--key", metavar="KEY", type=click.Path(path_type=Path), help="An SSH key, outside of the workspace.")
@_terms
@click.option("--check", is_flag=True, help="Write nothing, without a key; exit 3 when a release is missing or bad.")
@options.output_format
def command(workspace: Path, key: Path | None, terms: Terms, check: bool, output_format: str) -> int:
    """Write and sign the release file of each bundle of WORKSPACE, in releases/ beside deploy/.

    A device installs a bundle only by a release that one of the keys it trusts has signed. What is released already
    and has not changed stays as it is.
    """
    if key is None and not check:
        raise click.UsageError("Give the --key to sign with, or --check.")
    if key is not None:
        signing.check_key(key, workspace)
    output, releases = Output(json=output_format == "json"), Releases(workspace, terms)
    steps = releases.plan(locked(workspace))
    unsound: list[str] = []
    if check:
        unsound = releases.unsound(steps)
    elif key is not None:
        releases.write(steps, key)
    changes = any(step.pending for step in steps)
    pending = check and (changes or bool(unsound) or any(step.is_expired(terms.now) for step in steps))
    code = Exit.CHANGES_PENDING if pending else Exit.FINE
    if output.json:
        output.data(verdict(code, []) | release_data(steps, unsound, terms.now))
        return int(code)
    output.text(release_text(steps, unsound, terms.now, workspace))
    if changes and not check:
        output.note(f"Next: commit {workspace / FOLDER}.")
    return int(code)
