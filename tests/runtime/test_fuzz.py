"""Requests with anything in them: an answer or the request's own fault, and never the server's."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from tests.runtime.serving import Served, metrics

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.0, 1e-9, 0.5, 1.0, 2, 2.0, 1e308, 10**400, 2**63, "", "x", "é\u0000\ud7ff", [], [[]],
    [1], [0.5], ["x"], [None], {}, {"type": "text"}, "</s>", "<s>", "\n" * 50,
)  # fmt: skip
NAMES = (
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop", "n", "stream_options", "user",
    "logit_bias", "presence_penalty", "response_format", "tools", "prompt", "messages", "model", "stream", "unknown",
)  # fmt: skip


def test_no_body_makes_the_server_fail(generating: Served) -> None:
    draw = random.Random(5)
    before = metrics(generating)
    statuses: Counter[int] = Counter()
    for number in range(400):
        chat = number % 2 == 0
        body: dict[str, Any] = {"model": "pydoc", "max_tokens": 2}
        body |= {"messages": [{"role": "user", "content": "x"}]} if chat else {"prompt": "x"}
        body |= {draw.choice(NAMES): draw.choice(ODD) for _ in range(draw.choice((1, 1, 2)))}
        if body.get("stream") is True:
            body["stream"] = False
        status, answer = generating.post("/v1/chat/completions" if chat else "/v1/completions", body)
        statuses[status] += 1
        assert status in (200, 400, 404), (body, answer)
        assert ("error" in answer) is (status != 200)
    after = metrics(generating)
    failed = 'slmc_requests_total{outcome="failed"}'
    assert after[failed] == before[failed]
    assert min(statuses[200], statuses[400]) > 50
