"""The model's process: loads, checks the golden answers, then works on one request at a time.

The server sends an order only after the end of the one before; while it runs, only that it is no longer wanted.
"""

from __future__ import annotations

import base64
import signal
import socket
import time
import traceback
from collections.abc import Iterator
from typing import Any

from slmc_runtime.bundle import Bundle
from slmc_runtime.channel import Channel, Message
from slmc_runtime.errors import ApiError
from slmc_runtime.refused import Refused

_QUIET = 0.01
"""Seconds between two messages about one request: a token that comes sooner goes with the next."""


def work(end: socket.socket, bundle: Bundle) -> None:
    """Until the server closes its end. What is wrong is told to the server, and nobody else."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # systemd and terminals signal both processes; the server decides when this one ends.
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(end)
    try:
        orders = _ready(channel, bundle)
        while True:
            order = channel.receive()
            if "cancel" not in order:
                orders.carry_out(order)
    except Refused as error:
        channel.send({"refused": {"code": error.code, "message": str(error)}})
    except (EOFError, OSError):
        return


def _ready(channel: Channel, bundle: Bundle) -> _Orders:
    from slmc_runtime import golden
    from slmc_runtime.model import load

    model = load(bundle.run)
    verdict = golden.check(model, bundle.golden, lambda: channel.send({"alive": True}))
    answers = {"passed": verdict.passed, "failed": verdict.failed}
    channel.send({"loaded": {"answers": answers, "reason": verdict.reason}})
    return _Orders(channel, model)


class _Cancelled(Exception):
    """The client has gone, or the time is over."""


class _Orders:
    def __init__(self, channel: Channel, model: Any) -> None:
        self._channel = channel
        self._model = model
        self._id = 0
        self._said = 0.0

    def carry_out(self, order: Message) -> None:
        """Raises EOFError or OSError when the server has gone."""
        self._id, self._said = order["id"], 0.0
        try:
            done = {"generate": self._generate, "embed": self._embed, "classify": self._classify}[order["kind"]](order)
        except _Cancelled:
            self._send(cancelled=True)
        except ApiError as error:
            self._send(error=error.plain)
        except (EOFError, OSError):
            raise
        except Exception as error:
            # The exception's text may have the prompt in it; its kind and place do not.
            at = traceback.extract_tb(error.__traceback__)[-1]
            self._send(failed=f"{type(error).__name__} at {at.filename.rpartition('/')[2]}:{at.lineno}")
        else:
            self._send(done=done)

    def _generate(self, order: Message) -> Message:
        from slmc_runtime.generation import Sampling, Wanted

        sampling = Sampling(order["temperature"], order["topP"], order["seed"])
        found = self._model.continued(Wanted(order["prompt"], order["most"], order["stops"], sampling))
        held = ""
        for piece in found.pieces:
            held += piece
            if self._due():
                self._send(text=held)
                held = ""
        if held:
            self._send(text=held)
        return {"finish": found.finish, "promptTokens": found.prompt_tokens, "completionTokens": found.tokens}

    def _embed(self, order: Message) -> Message:
        import numpy as np

        vectors, count = [], 0
        for ids in self._inputs(order):
            vector = self._model.embedding(ids).astype("<f4")
            if not np.isfinite(vector).all():
                raise ApiError(500, "The model gave no finite numbers for an input.", "not_finite")
            vectors.append(base64.b64encode(vector.tobytes()).decode())
            count += len(ids)
        return {"vectors": vectors, "promptTokens": count}

    def _classify(self, order: Message) -> Message:
        import numpy as np

        found, count = [], 0
        for ids in self._inputs(order):
            row = np.exp(self._model.log_probabilities(ids))
            if not np.isfinite(row).all():
                raise ApiError(500, "The model gave no finite numbers for an input.", "not_finite")
            found.append({"label": self._model.label(int(row.argmax())), "probs": row.tolist()})
            count += len(ids)
        return {"labels": found, "promptTokens": count}

    def _inputs(self, order: Message) -> Iterator[list[int]]:
        """All are looked at before one is worked on, so that a bad one costs nothing."""
        for ids in [self._model.tokens(text) for text in order["inputs"]]:
            yield ids
            if self._due():
                self._send(text="")

    def _due(self) -> bool:
        """Whether it is time to tell the server; then also to hear from it. Raises _Cancelled."""
        now = time.monotonic()
        if now - self._said < _QUIET:
            return False
        self._said = now
        while self._channel.waiting():
            if self._channel.receive().get("cancel") == self._id:
                raise _Cancelled
        return True

    def _send(self, **facts: Any) -> None:
        self._channel.send({"id": self._id, **facts})
