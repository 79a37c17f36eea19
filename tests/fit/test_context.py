"""A context longer than the model's is found where slmc knows what happens then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compiler.fit.context import overlong
from tests.bundle.scenarios import RUNTIME
from tests.values import MODEL, RUN, artifacts_of, fleet_of

OTHER = replace(RUNTIME, configuration=None)


@pytest.mark.parametrize(
    ("runtime", "length", "found"),
    [
        (RUNTIME, 2049, ["SLM605"]),
        (RUNTIME, 2048, []),
        (RUNTIME, None, []),
        (OTHER, 2049, []),
        (None, 2049, []),
    ],
)
def test_what_the_runtime_would_refuse(runtime: object, length: int | None, found: list[str]) -> None:
    run = replace(RUN, runtime=runtime, context_length=length)
    assert [finding.code.id for finding in overlong([fleet_of(run)], artifacts_of())] == found


def test_the_message() -> None:
    run = replace(RUN, runtime=RUNTIME, context_length=4096)
    (finding,) = overlong([fleet_of(run)], artifacts_of())
    assert finding.message == f"Run `chat` asks for 4096 tokens of context; `{MODEL.id}` was made for 2048."
    assert finding.span == RUN.place
