"""Environments of converters, with a converter of one small package; what steps say without one."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.converters import environment
from compiler.artifact.converters.call import Failed, Missing, call
from compiler.artifact.steps.apply import apply_step
from compiler.artifact.steps.table import STEPS
from compiler.artifact.store import Store
from compiler.base.codes import Code
from compiler.cli.main import run
from compiler.fleet.graph import Recipe, Step
from tests.artifact import checkpoints
from tests.artifact.building import built, codes, write_workspace
from tests.values import PLACE


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The requirements of a converter `small`: one package, from a wheel on this machine."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    wheel = _wheel(tmp_path / "wheels")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (folder / "small.txt").write_text(f"smallest==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setattr(environment, "requirements", lambda: folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return folder / "small.txt"


@pytest.fixture
def fake(pinned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with folders instead of virtual environments, which take seconds."""

    def make(made: Path, requirements: Path, tell: Any) -> None:
        (made / "bin").mkdir(parents=True)
        (made / "bin" / "python").write_text("#!/bin/sh\n")
        (made / "bin" / "python").chmod(0o755)
        tell(f"made {requirements.name}")

    monkeypatch.setattr(environment, "_make", make)
    return pinned


def _wheel(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "smallest-1.0-py3-none-any.whl"
    files = {
        "smallest.py": "size = 1\n",
        "smallest-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: smallest\nVersion: 1.0\n",
        "smallest-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr("smallest-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    return path


def test_an_environment_is_made_once_used_and_removed(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    root = tmp_path / "store" / "converters"
    assert run(["converters", "install", "small"]) == 0
    said = capsys.readouterr().err
    assert "1/1 smallest" in said
    assert f"small is installed in {environment.folder(root, 'small')}" in said
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(
        "compiler.artifact.converters.call._BOOT",
        "import json, os, smallest, sys; request = json.load(sys.stdin)\n"
        "print(json.dumps({'result': [smallest.size, request['x'], os.environ.get('HF_HUB_OFFLINE'), "
        "'PYTHONPATH' in os.environ]}))",
    )
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert call(root, "small", "task", {"x": 7}, tmp_path / "scratch", lambda share: None) == [1, 7, "1", False]
    assert run(["converters", "install", "small"]) == 0
    assert "smallest" not in capsys.readouterr().err
    assert run(["converters", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["small", "installed"]
    assert run(["converters", "remove", "small"]) == 0
    assert environment.listed(root) == []


def test_a_package_with_another_hash_is_refused(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "store"))
    pinned.write_text(f"smallest==1.0 --hash=sha256:{'0' * 64}\n")
    assert run(["converters", "install", "small"]) == 5
    said = capsys.readouterr().err
    assert "SLM515" in said
    assert "pip ended with exit code 1" in said
    assert "DO NOT MATCH THE HASHES" in said
    assert environment.listed(tmp_path / "store" / "converters") == []


def test_what_a_killed_run_left_is_made_anew(fake: Path, tmp_path: Path) -> None:
    left = environment.folder(tmp_path / "e", "small")
    (left / "bin").mkdir(parents=True)
    (left / "bin" / "python").write_text("half")
    assert environment.python(tmp_path / "e", "small") is None
    assert [(one.name, one.ready) for one in environment.listed(tmp_path / "e")] == [("small", False)]
    assert environment.install(tmp_path / "e", "small", lambda line: None) == left
    assert environment.python(tmp_path / "e", "small") == left / "bin" / "python"
    assert (left / "bin" / "python").read_text() == "#!/bin/sh\n"


def test_one_that_fails_leaves_nothing(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(made: Path, requirements: Path, tell: Any) -> None:
        made.mkdir(parents=True)
        raise environment.Failed("pip ended with exit code 1", ("no such package",))

    monkeypatch.setattr(environment, "_make", fail)
    with pytest.raises(environment.Failed):
        environment.install(tmp_path / "e", "small", lambda line: None)
    assert environment.listed(tmp_path / "e") == []


def test_other_requirements_are_another_environment(fake: Path, tmp_path: Path) -> None:
    first = environment.install(tmp_path / "e", "small", lambda line: None)
    fake.write_text("smallest==2.0\n")
    assert environment.python(tmp_path / "e", "small") is None
    second = environment.install(tmp_path / "e", "small", lambda line: None)
    found = {one.folder: one.current for one in environment.listed(tmp_path / "e")}
    assert found == {first: False, second: True}
    assert set(environment.remove(tmp_path / "e", "small")) == {first, second}
    assert environment.listed(tmp_path / "e") == []


def test_two_at_once_make_it_once(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is held in the middle until the second waits for it."""
    waits = threading.Event()
    made: list[Path] = []
    make = environment._make

    def slowly(folder: Path, requirements: Path, tell: Any) -> None:
        made.append(folder)
        assert waits.wait(30)
        make(folder, requirements, tell)

    monkeypatch.setattr(environment, "_make", slowly)
    first = threading.Thread(target=environment.install, args=(tmp_path / "e", "small", lambda line: None))
    first.start()
    while not made:
        first.join(0.01)
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        waits.set()

    environment.install(tmp_path / "e", "small", hear)
    first.join()
    assert len(made) == 1
    assert said == ["small: waiting for another slmc that works with this environment"]


def test_it_is_not_removed_while_it_is_used(fake: Path, tmp_path: Path) -> None:
    environment.install(tmp_path / "e", "small", lambda line: None)
    with environment.in_use(tmp_path / "e", "small"):
        removing = threading.Thread(target=environment.remove, args=(tmp_path / "e", "small"))
        removing.start()
        removing.join(0.2)
        assert environment.python(tmp_path / "e", "small") is not None
    removing.join()
    assert environment.python(tmp_path / "e", "small") is None


@pytest.mark.parametrize(
    ("script", "why", "refused"),
    [
        ('echo \'{"refused": "it is no model"}\'', "it is no model", True),
        ("echo '{\"failed\": \"OSError: '$0'\"}'", "OSError: python", False),
        ("echo first >&2; echo last words >&2; exit 3", "the converter ended with exit code 3: last words", False),
        ("kill -SEGV $$", "the converter crashed with SIGSEGV", False),
        ("kill -KILL $$", "the converter was killed, perhaps for want of memory", False),
    ],
    ids=["refuses", "fails", "ends", "crashes", "is-killed"],
)
def test_how_a_script_fails_is_said(fake: Path, tmp_path: Path, script: str, why: str, refused: bool) -> None:
    folder = environment.install(tmp_path / "e", "small", lambda line: None)
    (folder / "bin" / "python").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "scratch").mkdir()
    request = {"file": str(folder / "bin" / "python")}
    with pytest.raises(Failed) as failed:
        call(tmp_path / "e", "small", "convert", request, tmp_path / "scratch", lambda share: None)
    assert (str(failed.value), failed.value.refused) == (why, refused)


def test_a_script_tells_how_far_it_is(fake: Path, tmp_path: Path) -> None:
    folder = environment.install(tmp_path / "e", "small", lambda line: None)
    replies = "\n".join(json.dumps(message) for message in ({"event": 0.5}, {"event": 1}, {"result": [1]}))
    (folder / "bin" / "python").write_text(f"#!/bin/sh\ncat <<'END'\n{replies}\nEND\n")
    (tmp_path / "scratch").mkdir()
    told: list[float] = []
    assert call(tmp_path / "e", "small", "convert", {}, tmp_path / "scratch", told.append) == [1]
    assert told == [0.5, 1]


def test_without_an_environment_nothing_is_called(fake: Path, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        call(tmp_path / "e", "small", "convert", {}, tmp_path, lambda share: None)


def test_a_compile_without_the_environment_names_the_command(tmp_path: Path) -> None:
    recipe = Recipe("other", (Step("convert", {"format": "openvino", "precision": "fp32"}, PLACE),), (), PLACE)
    _, diagnostics, _ = built(write_workspace(tmp_path / "w"), Store(tmp_path / "store"), recipe)
    assert codes(diagnostics) == [Code.CONVERTER_MISSING]
    assert diagnostics[0].message.endswith("the environment of converter `openvino` is not installed.")
    assert diagnostics[0].help is not None
    assert diagnostics[0].help.startswith("`slmc converters install openvino` ")


@pytest.mark.parametrize(
    ("name", "parameters", "before", "why"),
    [
        ("convert/litert", {}, 1, "it has to be the first step"),
        ("package/genai", {}, 2, "it has to be the first step"),
        ("quantize/int8", {"scheme": "int8"}, 1, "the step before it made `model.gguf`"),
        ("convert/litert", {"sequenceLength": 65}, 0, "more than the 64 tokens"),
        ("convert/executorch", {"precision": "fp16", "sequenceLength": 8}, 0, "`fp32`, `int8` and `int4` are"),
        ("convert/gguf", {}, 0, "the architecture `BertModel`"),
        ("package/genai", {}, 0, "the architecture `BertModel`"),
    ],
)
def test_what_does_not_suit_a_conversion_is_refused(
    tmp_path: Path, name: str, parameters: dict[str, Any], before: int, why: str
) -> None:
    folder = checkpoints.bert(tmp_path / "m")
    given = parameters if "scheme" in parameters else {"format": name.partition("/")[2], **parameters}
    source = "model.gguf" if "scheme" in parameters else "model.onnx"
    code, said = _refusal(name, given, folder, tmp_path, before=before, source=source)
    assert code == "STEP_INAPPLICABLE"
    assert why in said


@pytest.mark.parametrize("name", ["convert/litert", "convert/executorch", "convert/gguf", "package/genai"])
@pytest.mark.parametrize("gone", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_source_of_another_kind_is_refused(tmp_path: Path, name: str, gone: str) -> None:
    folder = checkpoints.bert(tmp_path / "m")
    (folder / gone).unlink()
    code, why = _refusal(name, {"format": name.partition("/")[2]}, folder, tmp_path)
    assert code == "STEP_INAPPLICABLE"
    assert "starts from PyTorch weights: `source` has to be a folder with `config.json`" in why


def test_openvino_takes_a_graph(tmp_path: Path) -> None:
    folder = checkpoints.bert(tmp_path / "m")
    code, why = _refusal("convert/openvino", {"format": "openvino"}, folder, tmp_path, source="model.tflite")
    assert (code, why) == ("STEP_INAPPLICABLE", "`openvino` starts from an ONNX graph, and `model.tflite` is none.")


def _refusal(
    name: str, parameters: dict[str, Any], folder: Path, work: Path, *, before: int = 0, source: str = "model.onnx"
) -> tuple[str, str]:
    bench = {"model": str(folder), "scratch": str(work), "threads": 1, "files": {}, "before": before}
    bench["converters"] = str(work / "none")
    made = apply_step(name, parameters, str(folder / source), str(work), bench, lambda share: None)
    return made["refused"], made["reason"]


def test_the_packages_are_part_of_a_step_s_version() -> None:
    for name, converter in {f"convert/{name}": name for name in ("executorch", "gguf", "litert", "openvino")}.items():
        assert str(STEPS[name].VERSION).endswith(f"+{environment.digest(converter)}")
    assert str(STEPS["package/genai"].VERSION).endswith(f"+{environment.digest('genai')}")
    assert environment.names() == ["executorch", "genai", "gguf", "litert", "openvino"]


@pytest.mark.parametrize("path", sorted(environment.requirements().glob("*.txt")), ids=lambda path: path.stem)
def test_every_package_is_pinned_by_hash(path: Path) -> None:
    """pip refuses a file with one that is not; no line says where packages come from."""
    blocks = path.read_text().replace("\\\n", " ").splitlines()
    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    assert not any("://" in block or block.startswith("-") for block in blocks)
