"""`slmc plan`: what a compile would change."""

from __future__ import annotations

import os
from pathlib import Path

import click

from compiler import questions
from compiler.artifact.store.store import default_root
from compiler.base.codes import Exit
from compiler.cli import options
from compiler.cli.output import Output
from compiler.report.data import verdict
from compiler.report.plan_data import plan_data
from compiler.report.plan_markdown import plan_markdown
from compiler.report.plan_text import plan_text


@click.command()
@options.workspace
@click.option(
    "--against",
    metavar="REVISION",
    help="Compare with a Git revision, such as origin/main (default: HEAD, else the last compile).",
)
@click.option("--fleet", "names", metavar="NAME", multiple=True, help="Only this fleet.")
@click.option("--exit-code", "exit_code", is_flag=True, help="Exit 3 when something would change.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    help="For people, for tools, or for a comment on a pull request: at most 65,536 characters.",
)
def command(workspace: Path, against: str | None, names: tuple[str, ...], exit_code: bool, output_format: str) -> int:
    """Show what a compile of WORKSPACE would change, removals first. Nothing is built or written."""
    output = Output(json=output_format == "json")
    outcome, review = questions.review(workspace, default_root(os.environ), against, names)
    pending = review is not None and review.pending
    code = int(Exit.CHANGES_PENDING) if exit_code and pending and not outcome.exit else int(outcome.exit)
    if output.json:
        output.data(verdict(code, outcome.diagnostics) | (plan_data(review) if review else {}))
        return code
    output.diagnostics(outcome.diagnostics)
    if output_format == "markdown":
        output.text(plan_markdown(review, outcome.diagnostics))
    elif review is not None:
        output.text(plan_text(review))
    return code
