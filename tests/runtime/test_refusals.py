"""What keeps the server from starting: one line that says so, an exit code of its own, never a traceback."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import onnx
import pytest

from tests.runtime import bundles
from tests.runtime.bundles import HELDOUT, PYDOC, Plan, change, entry
from tests.runtime.serving import checked, command, environment, free_port, started


@pytest.fixture
def bundle(generator: Path, tmp_path: Path) -> Path:
    """One of the test's own to change."""
    return Path(shutil.copytree(generator, tmp_path / "bundle"))


def serve_json(bundle: Path, **changes: Any) -> None:
    change(bundle, "serve.json", json.dumps({"runs": {"counter": entry(Plan(PYDOC, HELDOUT, serve=changes))}}))


def refused(bundle: Path, **variables: str) -> tuple[int, str]:
    """The exit code, and the one line."""
    done = started(bundle, **{"SLMC_PORT": str(free_port()), **variables})
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("slmc-serve: ")
    return done.returncode, line.removeprefix("slmc-serve: ")


def test_another_architecture(bundle: Path) -> None:
    other, machine = {"x86_64": ("arm64", "aarch64")}.get(platform.machine(), ("amd64", "x86_64"))
    serve_json(bundle, device={"arch": other, "memory": 1})
    said = f"the bundle is for {other} ({machine}), and this machine is {platform.machine()}"
    assert refused(bundle) == (os.EX_UNAVAILABLE, said)
    code, found, line = checked(bundle)
    assert (code, found["loaded"], found["error"], line) == (1, False, said, f"slmc-serve: {said}\n")


def test_a_port_that_is_taken(bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused(bundle, SLMC_PORT=str(port)) == (os.EX_OSERR, f"port {port} of 127.0.0.1 is taken")


def test_an_artifact_that_is_not_there(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    said = f"the artifact {bundles.ARTIFACT} is not there: no folder {folder}"
    assert refused(bundle, SLMC_MODEL=str(folder)) == (os.EX_NOINPUT, said)


def test_a_file_that_is_not_all_there(bundle: Path, tmp_path: Path) -> None:
    model = shutil.copytree(PYDOC, tmp_path / "model")
    size = (model / "model.onnx").stat().st_size
    os.truncate(model / "model.onnx", size - 1)
    said = f"{model}/model.onnx has {size - 1} bytes, and not {size} as in artifacts.json"
    assert refused(bundle, SLMC_MODEL=str(model)) == (os.EX_DATAERR, said)
    (model / "model.onnx").unlink()
    said = f"{model}/model.onnx cannot be read: No such file or directory"
    assert refused(bundle, SLMC_MODEL=str(model)) == (os.EX_NOINPUT, said)


def test_a_file_of_another_digest_is_found_by_the_check(bundle: Path, tmp_path: Path) -> None:
    model = shutil.copytree(PYDOC, tmp_path / "model")
    readme = bytearray((model / "README.md").read_bytes())
    readme[0] ^= 1
    (model / "README.md").write_bytes(readme)
    code, found, _ = checked(bundle, SLMC_MODEL=str(model))
    assert (code, found["loaded"], found["answers"]) == (1, False, None)
    assert found["error"].startswith(f"{model}/README.md has the digest sha256:")


@pytest.mark.parametrize("task", ["text-generation", "embeddings"])
def test_an_artifact_that_this_onnxruntime_does_not_load(tmp_path: Path, embedder: Path, task: str) -> None:
    """Made for operators of later times."""
    source = PYDOC if task == "text-generation" else embedder.parent / "model"
    model = shutil.copytree(source, tmp_path / "model")
    proto = onnx.load(model / "model.onnx")
    for opset in proto.opset_import:
        opset.version = 999 if opset.domain in ("", "ai.onnx") else opset.version
    onnx.save(proto, model / "model.onnx")
    bundle = bundles.write(tmp_path / "bundle", Plan(model, HELDOUT, task, serve={"contextLength": 12}, golden=False))
    code, line = refused(bundle)
    assert code == os.EX_SOFTWARE
    assert line.startswith(f"the artifact {bundles.ARTIFACT} does not load on onnxruntime ")
    code, found, said = checked(bundle)
    assert (code, found["loaded"], said) == (1, False, f"slmc-serve: {found['error']}\n")


def test_an_artifact_for_another_runtime(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.tflite").write_bytes(b"x")
    bundle = bundles.write(tmp_path / "bundle", Plan(model, HELDOUT, "embeddings", golden=False))
    said = "the artifact has neither model.onnx nor model.ort, which onnxruntime loads"
    assert refused(bundle) == (os.EX_SOFTWARE, said)


def test_a_run_that_is_not_there(bundle: Path) -> None:

    done = subprocess.run(
        command(bundle, run="till"), env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    said = "slmc-serve: serve.json has no run `till`; its runs: counter\n"
    assert (done.returncode, done.stderr) == (os.EX_CONFIG, said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"port": "80"}, "runs.counter.port is something else: it has to be a whole number from 1 to 65535"),
        ({"port": 70000}, "runs.counter.port is something else: it has to be a whole number from 1 to 65535"),
        ({"threads": True}, "runs.counter.threads is something else: it has to be a whole number from 1 to 1024"),
        ({"limits": {}}, "runs.counter.limits.outputTokens is missing: it has to be a whole number from 1 to 16777216"),
        ({"artifact": "x"}, "runs.counter.artifact is something else: it has to be an object"),
        ({"objectives": {"latencyP95": 0}}, "runs.counter.objectives.latencyP95 is something else: "
         "it has to be a number of seconds, above 0 and up to 1000000"),
        ({"task": "speech"}, "runs.counter.task is something else: "
         "it has to be one of embeddings, text-classification, text-generation"),
        ({"host": "example.org"}, "runs.counter.host is `example.org`: it has to be an IP address or localhost"),
        ({"telemetry": ["prompts"]}, "runs.counter.telemetry: `prompts` is none of latency, errors, tokens, memory"),
        ({"telemetry": [1]}, "runs.counter.telemetry is something else: it has to be a list of texts"),
    ],
)  # fmt: skip
def test_a_serve_json_with_something_else_in_it(bundle: Path, changes: dict[str, Any], said: str) -> None:
    serve_json(bundle, **changes)
    assert refused(bundle) == (os.EX_CONFIG, f"serve.json: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "serve.json: runs is missing: it has to be an object"),
        ('{"runs": {"counter": 3}}', "serve.json: runs.counter is something else: it has to be an object"),
    ],
)
def test_a_serve_json_that_is_none(bundle: Path, text: str, said: str) -> None:
    change(bundle, "serve.json", text)
    code, line = refused(bundle)
    assert (code, line.removeprefix(f"{bundle / 'serve.json'} ")) == (os.EX_CONFIG, said)


def test_a_context_that_the_model_has_not(bundle: Path) -> None:
    said = "contextLength is 513, and the model was made for 512 tokens"
    assert refused(bundle, SLMC_CONTEXT_LENGTH="513") == (os.EX_CONFIG, said)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("SLMC_PORT", "http", "a whole number from 1 to 65535"),
        ("SLMC_THREADS", "0", "a whole number from 1 to 1024"),
        ("SLMC_HOST", "a.b", "an IP address or localhost"),
    ],
)
def test_a_setting_that_is_none(bundle: Path, name: str, value: str, wanted: str) -> None:
    assert refused(bundle, **{name: value}) == (os.EX_CONFIG, f"{name} is `{value}`: it has to be {wanted}")


def test_files_that_are_not_those_of_the_bundle_s_id(bundle: Path) -> None:
    (bundle / "serve.json").write_text((bundle / "serve.json").read_text().replace('"queue": 4', '"queue": 5'))
    assert refused(bundle) == (os.EX_DATAERR, f"{bundle}/serve.json is not the file that SHA256SUMS names")


@pytest.mark.parametrize("name", ["golden.json", "serve.json", "artifacts.json"])
def test_a_file_of_the_bundle_that_is_gone(bundle: Path, name: str) -> None:
    """Above all the golden answers: nobody would know that there are any."""
    (bundle / name).unlink()
    assert refused(bundle) == (os.EX_NOINPUT, f"there is no file {bundle}/{name}, which SHA256SUMS names")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    assert refused(tmp_path) == (os.EX_NOINPUT, f"{tmp_path} has no SHA256SUMS, so it is no bundle")
    assert refused(tmp_path / "x") == (os.EX_NOINPUT, f"there is no bundle {tmp_path / 'x'}")


def test_golden_answers_that_are_none(bundle: Path) -> None:
    digest = bundles.DIGEST
    listed = [{"digest": digest, "task": "text-generation", "tolerance": 0.1, "answers": [{"prompt": "x"}]}]
    change(bundle, "golden.json", json.dumps({"artifacts": listed}))
    assert refused(bundle) == (os.EX_CONFIG, "golden.json has no usable golden answers: KeyError")


@pytest.mark.parametrize("tolerance", ["NaN", "Infinity"])
def test_a_tolerance_that_is_no_number(bundle: Path, tolerance: str) -> None:
    """With one that is infinite, every model would be right."""
    text = json.dumps({"artifacts": [{"digest": bundles.DIGEST, "task": "text-generation", "answers": []}]})
    change(bundle, "golden.json", text.replace('"answers"', f'"tolerance": {tolerance}, "answers"'))
    code, found, _ = checked(bundle)
    assert (code, found["error"]) == (1, "golden.json has no usable golden answers: ValueError")
