"""Limits of requests, and how the server ends. The model's process is halted where something has to wait for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.runtime.bundles import HELDOUT, PYDOC, Plan, bundle_id, change, entry
from tests.runtime.serving import PATIENCE, Served, metrics, serving, wait_for

ASKED: dict[str, Any] = {"model": "pydoc", "prompt": "def main(", "max_tokens": 8}


@pytest.fixture
def bundle(generator: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generator, tmp_path / "bundle"))


def limit(bundle: Path, **limits: Any) -> Path:
    change(bundle, "serve.json", json.dumps({"runs": {"counter": entry(Plan(PYDOC, HELDOUT, limits=limits))}}))
    return bundle


@contextlib.contextmanager
def halted(served: Served) -> Iterator[None]:
    model = served.model
    os.kill(model, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(model, signal.SIGCONT)


def wait_until(served: Served, **values: float) -> None:
    """Until these metrics are so; `requests_running` is `slmc_requests_running`."""
    until = time.monotonic() + PATIENCE
    while (found := {name: metrics(served)[f"slmc_{name}"] for name in values}) != values:
        assert time.monotonic() < until, found
        time.sleep(0.01)


def outcomes(served: Served) -> dict[str, float]:
    """Of requests, those that came."""
    found = {name: value for name, value in metrics(served).items() if name.startswith("slmc_requests_total")}
    return {name.split('"')[1]: value for name, value in found.items() if value}


def test_no_more_requests_wait_than_may(bundle: Path) -> None:
    with serving(limit(bundle, queue=2)) as served, ThreadPoolExecutor(3) as pool:
        with halted(served):
            taken = [pool.submit(served.client.completions.create, **ASKED) for _ in range(3)]
            wait_until(served, requests_running=1, queue_length=2)
            with pytest.raises(openai.RateLimitError) as found:
                served.client.completions.create(**ASKED)
        assert (found.value.code, found.value.type) == ("queue_full", "rate_limit_error")
        assert found.value.response.headers["retry-after"] == "1"
        texts = {answer.result().choices[0].text for answer in taken}
        assert len(texts) == 1
        assert outcomes(served) == {"ok": 3, "refused": 1}


def test_a_queue_of_none(bundle: Path) -> None:
    with serving(limit(bundle, queue=0)) as served, ThreadPoolExecutor(1) as pool:
        with halted(served):
            taken = pool.submit(served.client.completions.create, **ASKED)
            wait_until(served, requests_running=1)
            assert served.post("/v1/completions", ASKED)[0] == 429
        assert taken.result().choices[0].finish_reason == "length"
        assert served.post("/v1/completions", ASKED)[0] == 200


def test_bodies_that_do_not_end_take_no_more_than_their_share(bundle: Path) -> None:
    """Two of them, of 4,000 bytes each, where 8,192 bytes may be read at once."""
    padded = json.dumps(ASKED).ljust(400).encode()
    with serving(limit(bundle, queue=0, requestBytes=4096)) as served:
        head = b"POST /v1/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 4096\r\n\r\n"
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                slow = stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
                slow.sendall(head + b" " * 4000)
            until = time.monotonic() + PATIENCE
            while (answer := served.post("/v1/completions", padded))[0] == 200:
                assert time.monotonic() < until
            assert (answer[0], answer[1]["error"]["code"]) == (429, "queue_full")
            assert served.post("/v1/completions", ASKED)[0] == 200
        while served.post("/v1/completions", padded)[0] != 200:
            assert time.monotonic() < until


def test_the_time_is_over(bundle: Path) -> None:
    """Of the request that runs, and of one that waits; then the model counts as stuck, until it goes on."""
    with serving(limit(bundle, timeoutSeconds=0.5)) as served, ThreadPoolExecutor(3) as pool:
        with halted(served):
            first = pool.submit(served.post, "/v1/completions", ASKED)
            wait_until(served, requests_running=1)
            second = pool.submit(served.post, "/v1/completions", ASKED)
            (status, body), (later, other) = first.result(), second.result()
            assert (status, body["error"]["code"], body["error"]["type"]) == (504, "timeout", "server_error")
            assert (later, other["error"]["code"]) == (503, "timeout")
            stuck = json.loads(wait_for(served, "/livez", 503))
            assert stuck == {"status": "stuck", "bundle": bundle_id(bundle), "run": "counter"}
            assert json.loads(served.get("/readyz")[1])["reason"] == "the model does not answer"
            assert outcomes(served) == {"timeout": 2}
        wait_for(served, "/readyz")
        assert served.post("/v1/completions", ASKED)[0] == 200


def test_the_time_is_over_in_the_middle_of_a_stream(bundle: Path) -> None:
    """The status has been said: the error is the last event, which the client knows."""
    with serving(limit(bundle, timeoutSeconds=1.0, outputTokens=500)) as served:
        for _ in range(20):
            stream = served.client.completions.create(model="pydoc", prompt="def main(", stream=True)
            next(stream)
            with halted(served):
                try:
                    # The model may have been at its end when it was halted: then the next try counts.
                    list(stream)
                except openai.APIError as error:
                    assert (error.code, error.message) == ("timeout", "The answer was not there in time.")
                    break
        else:
            raise AssertionError("no stream was halted in time")
        assert outcomes(served)["timeout"] == 1


def test_a_client_that_vanishes_frees_its_place(bundle: Path) -> None:
    with serving(limit(bundle, queue=1)) as served:
        head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for stream in (True, False):
            body = json.dumps({**ASKED, "stream": stream}).encode()
            with halted(served):
                clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(2)]
                for client in clients:
                    client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                wait_until(served, requests_running=1, queue_length=1)
                for client in clients:
                    client.close()
                wait_until(served, queue_length=0)
            wait_until(served, requests_running=0)
        assert outcomes(served) == {"disconnected": 4}
        assert metrics(served)["slmc_completion_tokens_total"] == 0
        assert served.post("/v1/completions", ASKED)[0] == 200


def test_a_body_that_does_not_come(bundle: Path) -> None:
    with serving(limit(bundle, timeoutSeconds=0.3)) as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as client:
            client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert outcomes(served) == {"timeout": 1}


@pytest.mark.parametrize("sent", [b"", b"GET /rea", b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /rea"])
def test_a_head_that_does_not_come(bundle: Path, sent: bytes) -> None:
    """Without an end, a few hundred such connections would keep everyone out, the probes too."""
    with (
        serving(limit(bundle, timeoutSeconds=0.3)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as client,
    ):
        client.sendall(sent)
        said = b""
        while more := client.recv(65536):
            said += more
        assert said.startswith(b"HTTP/1.1 404 ") if b"Host" in sent else said == b""
        assert served.get("/readyz")[0] == 200


def test_a_graceful_stop_finishes_what_runs(bundle: Path) -> None:
    with serving(bundle) as served, ThreadPoolExecutor(2) as pool:
        with halted(served):
            running = pool.submit(lambda: list(served.client.completions.create(**ASKED, stream=True)))
            wait_until(served, requests_running=1)
            waiting = pool.submit(served.client.completions.create, **ASKED)
            wait_until(served, queue_length=1)
            # systemd signals both processes.
            os.kill(served.model, signal.SIGTERM)
            served.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + PATIENCE
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < until:
                    socket.create_connection(("127.0.0.1", served.port)).close()
                    time.sleep(0.02)
                raise AssertionError("it still takes connections")
            assert served.process.poll() is None
        said = "".join(chunk.choices[0].text for chunk in running.result())
        assert said == waiting.result().choices[0].text
        _, lines = served.process.communicate(timeout=PATIENCE)
        assert (served.process.returncode, len(lines.splitlines())) == (0, 1)


def test_a_stop_while_the_model_loads(bundle: Path) -> None:
    with serving(bundle, ready=False) as served:
        code, _ = served.stop()
        assert code == 0


def test_a_model_s_process_that_dies_takes_the_server_with_it(bundle: Path) -> None:
    """So that systemd starts both anew; requests get an answer before."""
    with serving(bundle) as served, ThreadPoolExecutor(1) as pool:
        with halted(served):
            running = pool.submit(served.post, "/v1/completions", ASKED)
            wait_until(served, requests_running=1)
            os.kill(served.model, signal.SIGKILL)
        status, body = running.result()
        assert (status, body["error"]["code"]) == (500, "internal_error")
        _, said = served.process.communicate(timeout=PATIENCE)
        assert served.process.returncode == os.EX_SOFTWARE
        assert said.splitlines()[-1] == "slmc-serve: the model's process ended by itself"


def test_a_context_below_the_model_s(bundle: Path) -> None:
    with serving(bundle, SLMC_CONTEXT_LENGTH="16", SLMC_THREADS="2") as served:
        assert served.post("/v1/completions", {"model": "pydoc", "prompt": [5] * 16})[0] == 400
        answer = served.client.completions.create(model="pydoc", prompt=[5] * 10)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 6


def test_telemetry_is_off_whatever_the_environment_says(bundle: Path) -> None:
    """In both processes, from their beginning on: the kernel shows the environment that a process began with."""
    with serving(bundle, ORT_DISABLE_TELEMETRY="0") as served:
        for process in (served.process.pid, served.model):
            variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            assert [v for v in variables if v.startswith(b"ORT_")] == [b"ORT_DISABLE_TELEMETRY=1"]
