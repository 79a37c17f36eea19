"""Metrics: those that the telemetry allows, with the objectives among the bounds; prompts nowhere."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.runtime.bundles import ARTIFACT, HELDOUT, PYDOC, Plan, bundle_id, change, entry
from tests.runtime.serving import metrics, serving

FAMILIES = {
    "latency": {
        "slmc_time_to_first_token_seconds", "slmc_time_per_token_seconds", "slmc_request_duration_seconds",
        "slmc_queue_length", "slmc_requests_running",
    },
    "errors": {"slmc_requests_total"},
    "tokens": {"slmc_prompt_tokens_total", "slmc_completion_tokens_total"},
    "memory": {"slmc_resident_memory_bytes", "slmc_peak_memory_bytes"},
}  # fmt: skip
ALWAYS = {"slmc_bundle_info", "slmc_ready"}
SECRET = "The patient in bed twelve"


@pytest.mark.parametrize("telemetry", [[], ["latency"], ["errors", "memory"], list(FAMILIES)])
def test_only_what_the_telemetry_allows(generator: Path, tmp_path: Path, telemetry: list[str]) -> None:
    bundle = Path(shutil.copytree(generator, tmp_path / "bundle"))
    run = entry(Plan(PYDOC, HELDOUT, serve={"telemetry": telemetry}))
    change(bundle, "serve.json", json.dumps({"runs": {"counter": run}}))
    with serving(bundle) as served:
        served.post("/v1/completions", {"model": "pydoc", "prompt": SECRET, "max_tokens": 5})
        text = served.get("/metrics")[1]
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert names == ALWAYS.union(*(FAMILIES[kind] for kind in telemetry))
    assert SECRET not in text


def test_what_is_counted(generator: Path) -> None:
    with serving(generator) as served:
        asked = {"model": "pydoc", "prompt": [5, 6, 7], "max_tokens": 5}
        served.client.completions.create(**asked)
        list(served.client.completions.create(**asked, stream=True))
        served.post("/v1/completions", {"model": "pydoc", "prompt": []})
        found = metrics(served)
        info = f'slmc_bundle_info{{artifact="{ARTIFACT}",bundle="{bundle_id(generator)}",run="counter"}}'
        assert found[info] == 1
        assert found["slmc_ready"] == 1
        assert (found["slmc_prompt_tokens_total"], found["slmc_completion_tokens_total"]) == (6, 10)
        assert found["slmc_time_to_first_token_seconds_count"] == 2
        assert found["slmc_time_per_token_seconds_count"] == 2
        assert found["slmc_request_duration_seconds_count"] == 2
        assert found['slmc_requests_total{outcome="ok"}'] == 2
        assert found['slmc_requests_total{outcome="invalid"}'] == 1
        assert found['slmc_requests_total{outcome="failed"}'] == 0
        for name, objective in (("time_to_first_token", 0.37), ("time_per_token", 0.03), ("request_duration", 2.2)):
            assert f'slmc_{name}_seconds_bucket{{le="{objective}"}}' in found
        for process in ("server", "model"):
            assert 2**24 < found[f'slmc_resident_memory_bytes{{process="{process}"}}'] < 2**30


def test_an_encoder_has_no_tokens_of_its_own(embedder: Path) -> None:
    with serving(embedder) as served:
        served.post("/v1/embeddings", {"model": "tiny", "input": ["w1 w2", "w3"]})
        found = metrics(served)
    assert (found["slmc_prompt_tokens_total"], found["slmc_request_duration_seconds_count"]) == (3, 1)
    assert not [name for name in found if "first_token" in name or "per_token" in name]


def test_no_prompt_in_any_log(generator: Path) -> None:
    """Not of requests that are answered, refused, or not HTTP."""
    with serving(generator) as served:
        served.post("/v1/completions", {"model": "pydoc", "prompt": SECRET, "max_tokens": 5})
        served.post("/v1/completions", {"model": SECRET, "prompt": SECRET})
        served.post("/v1/completions", f'{{"prompt": "{SECRET}"'.encode())
        served.post(f"/v1/{SECRET.replace(' ', '_')}", {})
        served.post("/v1/completions", {"model": "pydoc", "prompt": f"{SECRET} " * 300})
        code, said = served.stop()
    assert (code, len(said.splitlines()), said.startswith("slmc-serve: ready: pydoc@1.0.0 on ")) == (0, 1, True)
