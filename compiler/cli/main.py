"""The `slmc` command itself: finds the subcommand, and turns whatever happens into an exit code."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from compiler.base.codes import Code, Exit
from compiler.base.diagnostics import Diagnostic, Stop, exit_code
from compiler.cli.output import Output, quiet_when_closed

_COMMANDS = {
    "init": ("compiler.cli.init", "Write a small workspace that compiles at once."),
    "validate": ("compiler.cli.validate", "Check the blueprints and inventories of a workspace."),
    "fetch": ("compiler.cli.fetch", "Download the packages that models come from."),
    "plan": ("compiler.cli.plan", "Show what a compile would change."),
    "compile": ("compiler.cli.compile", "Build the artifacts, write the bundles and slmc.lock."),
    "build": ("compiler.cli.build", "Build the artifacts alone, all or a part; or verify them."),
    "test": ("compiler.cli.test", "Try the artifacts within the limits of each device class."),
    "push": ("compiler.cli.push", "Upload the artifacts of slmc.lock to a registry or a folder."),
    "pull": ("compiler.cli.pull", "Fetch and verify the artifacts of slmc.lock."),
    "release": ("compiler.cli.release", "Write and sign what lets devices take a bundle."),
    "where": ("compiler.cli.where", "Say which line set a value, and what it overrode."),
    "ls": ("compiler.cli.ls", "List devices, cohorts or artifacts."),
    "explain": ("compiler.cli.explain", "Explain a diagnostic code, such as SLM203."),
    "cache": ("compiler.cli.cache", "See, check and prune the store of artifacts."),
    "converters": ("compiler.cli.converters", "Install the converters for other runtimes."),
    "agent": ("compiler.cli.agent", "Write the agent that deploys releases on systemd devices."),
    "schema": ("compiler.cli.schema", "Print the JSON Schemas of the files that slmc reads."),
}
"""Name → module with a `command`, and the help line, so that `slmc --help` imports none of them."""


class LazyGroup(click.Group):
    """A click group whose commands are imported when they are called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="slmc", message="%(prog)s %(version)s")
def cli() -> None:
    """A compiler from YAML blueprints to edge fleets of small language models.

    \b
    Exit codes: 0 fine, 1 errors in the blueprint, 2 usage, 3 changes pending
    (compile --check, plan --exit-code), 4 a gate failed, 5 a build failed.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code; nothing escapes as a traceback."""
    try:
        return int(cli.main(args=list(arguments), prog_name="slmc", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return int(Exit.USAGE)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("slmc: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except Stop as stop:
        Output.of(arguments).diagnostics(stop.diagnostics)
        return int(exit_code(stop.diagnostics))
    except Exception as error:
        return _internal(error, arguments)


def main() -> NoReturn:
    """The entry point of the `slmc` script.

    The process ends without taking its values apart: of a large fleet there are a hundred megabytes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    gc.disable()  # one command makes many values and few cycles, and ends
    code = run(sys.argv[1:])
    with quiet_when_closed():
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _internal(error: Exception, arguments: Sequence[str]) -> int:
    if os.environ.get("SLMC_TRACEBACK"):
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
    Output.of(arguments).diagnostics(
        [
            Diagnostic(
                Code.INTERNAL,
                f"{type(error).__name__} in `{place}`: {error}",
                help="This is a defect of slmc. Run again with SLMC_TRACEBACK=1 and report what it shows.",
            )
        ]
    )
    return int(Exit.BUILD_FAILED)
