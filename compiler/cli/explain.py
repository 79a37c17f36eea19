"""`slmc explain`: what a code means, an example that raises it, and one that does not."""

from __future__ import annotations

import click

from compiler.base.codes import Code
from compiler.base.diagnostics import did_you_mean
from compiler.base.shipped import shipped
from compiler.cli.output import Output


@click.command()
@click.argument("code", required=False)
def command(code: str | None) -> int:
    """Explain CODE: its number or its name. Without one, list them all."""
    output = Output()
    if code is None:
        output.text("\n".join(f"{c.id}  {c.slug:22}  {c.summary}" for c in Code))
        return 0
    found = next((c for c in Code if code.lower() in (c.id.lower(), c.slug)), None)
    if found is None:
        names = [name for c in Code for name in (c.id, c.slug)]
        help = did_you_mean(code, names, "`slmc explain` lists them all.")
        raise click.UsageError(f"There is no code `{code}`. {help}")
    output.text((shipped("docs/explain") / f"{found.id}.md").read_text(encoding="utf-8"))
    return 0
