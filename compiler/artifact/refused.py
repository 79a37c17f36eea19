"""How work on a model says that the model does not suit it."""

from __future__ import annotations


class Refused(Exception):
    """The step does not apply to the model as it is.

    The text is a sentence that names the node or tensor; `code` is the name of a Code that is an error. `parameter` is
    the path of the step's value that does not suit, where it is one: `adapter`, `dimensions.batch`, `inputs.0`.
    """

    def __init__(self, message: str, code: str = "STEP_INAPPLICABLE", parameter: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.parameter = parameter


def not_finite(name: str) -> Refused:
    """What to raise for a tensor that no step can make sense of."""
    return Refused(f"`{name}` has weights that are NaN or infinite.", "NON_FINITE_WEIGHTS")
