"""Why a transfer failed, before anyone knows which artifact it was for."""

from __future__ import annotations

from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic
from compiler.base.span import Span


class Failed(Exception):
    """Carries what a Diagnostic says, but for its place. `message` is a sentence without credentials."""

    def __init__(self, code: Code, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help

    def at(self, place: Span | None, name: str) -> Diagnostic:
        """As the finding on the artifact `name`, which `place` names."""
        return Diagnostic(self.code, f"`{name}`: {self.message}", place, self.help)

    def alone(self) -> Diagnostic:
        """Where it is about none in particular."""
        return Diagnostic(self.code, self.message, help=self.help)
