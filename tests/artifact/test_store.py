"""The store: an OCI image layout that survives damage, kills and company."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compiler.artifact.artifact import File
from compiler.artifact.store import cache, layout
from compiler.artifact.store.store import Store, Stored, default_root
from compiler.base import digests
from compiler.base.codes import Code
from compiler.base.diagnostics import Stop
from tests.artifact.shelf import REPOSITORY, flip, fresh, label, put
from tests.tools import tool
from tests.tree import tree
from tests.values import digest


def test_gives_back_what_was_put(store: Store, stored: Stored, tmp_path: Path) -> None:
    assert stored.files == (
        File("model.onnx", 1, digests.of_bytes(b"M")),
        File("t.json", 1, digests.of_bytes(b"T")),
    )
    assert fresh(store).find(digest("a")) == (stored, [])
    assert fresh(store).find(digest("b")) == (None, [])
    store.lay_out(stored, store.root / "out")
    assert tree(store.root / "out") == {"model.onnx": b"M", "t.json": b"T"}
    assert store.path_of(stored.files[0].digest).read_bytes() == b"M"


def test_is_an_oci_image_layout(store: Store, stored: Stored) -> None:
    """image-layout.md and manifest.md of the OCI image specification 1.1."""
    assert json.loads((store.root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.root / "index.json").read_text())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    [entry] = index["manifests"]
    manifest = json.loads(store.path_of(entry["digest"]).read_bytes())
    assert (entry["digest"], entry["mediaType"]) == (stored.digest, manifest["mediaType"])
    assert manifest["artifactType"] == entry["artifactType"] == "application/vnd.slmc.artifact.v1"
    for blob in (entry, manifest["config"], *manifest["layers"]):
        data = store.path_of(blob["digest"]).read_bytes()
        assert (len(data), digests.of_bytes(data)) == (blob["size"], blob["digest"])
    assert [layer["annotations"] for layer in manifest["layers"]] == [
        {"org.opencontainers.image.title": "model.onnx"},
        {"org.opencontainers.image.title": "t.json"},
    ]


def test_skopeo_reads_it(store: Store, stored: Stored) -> None:
    skopeo = tool("skopeo")
    reference = f"oci:{store.root}:assistant-1.0-int4-{'a' * 12}"
    done = subprocess.run([skopeo, "inspect", "--raw", reference], capture_output=True, check=True)
    assert digests.of_bytes(done.stdout) == stored.digest


def test_files_of_a_workspace_below_the_store_stay(store: Store) -> None:
    put(store, store.root / "shop" / "models", model_onnx="M")
    assert tree(store.root / "shop") == {"models/model.onnx": b"M"}
    with store.scratch() as scratch:
        put(store, scratch / "made", label("b", "b"), model_onnx="N")
        assert tree(scratch) == {}


def test_the_digest_depends_on_the_files_alone(store: Store, stored: Stored, tmp_path: Path) -> None:
    other = Store(tmp_path / "elsewhere")
    again = put(other, tmp_path / "in2", label("another-name", "b"), t_json="T", model_onnx="M")
    assert again.digest == stored.digest
    assert put(other, tmp_path / "in3", model_onnx="N", t_json="T").digest != stored.digest


def test_the_order_of_puts_leaves_no_trace(tmp_path: Path) -> None:
    given = [label("one", "1"), label("two", "2"), label("three", "3")]
    found = []
    for number, order in enumerate((given, given[::-1])):
        store = Store(tmp_path / f"store{number}")
        for each in order:
            put(store, tmp_path / each.name, each, model_onnx=each.name)
        found.append(tree(store.root))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (flip, "does not have the content that its digest names"),
        (lambda path: path.write_bytes(b""), "has 0 bytes instead of 1"),
        (Path.unlink, "is missing"),
    ],
    ids=["flipped", "cut", "missing"],
)
def test_a_damaged_blob_is_named_forgotten_and_put_anew(
    store: Store, stored: Stored, tmp_path: Path, damage: Any, why: str
) -> None:
    bad = stored.files[0].digest
    damage(store.path_of(bad))
    found, diagnostics = fresh(store).find(digest("a"))
    assert found is None
    assert [(d.code, d.message) for d in diagnostics] == [
        (Code.CORRUPT_BLOB, f"Blob `{bad}` of artifact `assistant-1.0-int4` {why}. It is built anew.")
    ]
    assert fresh(store).find(digest("a")) == (None, [])
    assert put(fresh(store), tmp_path / "in") == stored
    assert fresh(store).find(digest("a")) == (stored, [])


def test_a_damaged_layer_of_two_artifacts_is_told_for_both(store: Store, stored: Stored, tmp_path: Path) -> None:
    put(store, tmp_path / "in2", label("other", "b"), model_onnx="N", t_json="T")
    flip(store.path_of(digests.of_bytes(b"T")))
    run = fresh(store)
    assert [d.code for key in "ab" for d in run.find(digest(key))[1]] == [Code.CORRUPT_BLOB] * 2


def test_a_damaged_manifest_is_found(store: Store, stored: Stored) -> None:
    store.path_of(stored.digest).write_bytes(b"{}")
    found, diagnostics = fresh(store).find(digest("a"))
    assert (found, [d.code for d in diagnostics]) == (None, [Code.CORRUPT_BLOB])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"manifests": [{"digest": 3}]}', '{"manifests": 4}', "\0"])
def test_a_damaged_index_is_told_and_written_anew(store: Store, stored: Stored, tmp_path: Path, text: str) -> None:
    (store.root / "index.json").write_text(text)
    found, diagnostics = fresh(store).find(digest("a"))
    assert (found, [d.code for d in diagnostics]) == (None, [Code.CORRUPT_BLOB])
    assert put(fresh(store), tmp_path / "in") == stored
    assert fresh(store).find(digest("a")) == (stored, [])


def test_records_refer_to_what_they_were_measured_on(store: Store, stored: Stored) -> None:
    store.put_record(layout.EVALUATION, label(letter="e"), {"tokens": 7}, stored.digest)
    assert fresh(store).record(layout.EVALUATION, digest("e")) == ({"tokens": 7}, [])
    assert fresh(store).record(layout.SPEED, digest("e")) == (None, [])
    entry = next(entry for entry in store.index()[0] if entry["artifactType"] == layout.EVALUATION)
    subject = json.loads(store.path_of(entry["digest"]).read_bytes())["subject"]
    assert (subject["digest"], subject["mediaType"]) == (stored.digest, layout.MANIFEST)


def test_a_damaged_record_is_measured_anew(store: Store, stored: Stored) -> None:
    store.put_record(layout.EVALUATION, label(letter="e"), {"tokens": 7}, stored.digest)
    flip(store.path_of(digests.of_value({"tokens": 7})))
    value, diagnostics = fresh(store).record(layout.EVALUATION, digest("e"))
    assert (value, [d.code for d in diagnostics]) == (None, [Code.CORRUPT_BLOB])
    assert "the figures of `assistant-1.0-int4`" in diagnostics[0].message


_PUT = """
import os, signal, sys
from pathlib import Path
from compiler.base import files
left = int(sys.argv[1])
def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
os.replace, os.fsync, os.chmod = counted(os.replace), counted(os.fsync), counted(os.chmod)
from compiler.artifact.artifact import Shape
from compiler.artifact.store.store import Label, Store
store = Store(Path(sys.argv[2]))
with store.scratch() as folder:
    (folder / "model.onnx").write_text(sys.argv[3])
    label = Label("sha256:" + sys.argv[4] * 64, sys.argv[3], "m@1", "r", "sha256:" + "5" * 64)
    store.put(label, Shape(8, 32, 4, 16), {"model.onnx": folder / "model.onnx", "LICENSE": Path("LICENSE")})
"""
"""Puts an artifact; ends itself with SIGKILL before the n-th fsync, rename or chmod."""


def _put(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _PUT, *arguments], cwd=REPOSITORY)


def test_a_kill_at_any_moment_of_a_put_loses_nothing(store: Store, stored: Stored, tmp_path: Path) -> None:
    for n in range(1, 60):
        status = _put(str(n), str(store.root), "new", "b").wait()
        assert fresh(store).find(digest("a")) == (stored, [])
        found, diagnostics = fresh(store).find(digest("b"))
        assert diagnostics == []
        cache.prune(fresh(store), None)
        assert cache.verify(fresh(store)) == ([], [])
        assert not list(store.root.rglob(".slmc-tmp-*"))
        if status == 0:
            assert found is not None
            break
        assert status == -signal.SIGKILL
        cache.prune(fresh(store), {digest("a")})
    assert n > 10


def test_many_puts_at_once_all_arrive(store: Store) -> None:
    processes = [_put("0", str(store.root), f"artifact-{letter}", letter) for letter in "abcdef"]
    processes += [_put("0", str(store.root), "artifact-a", "a") for _ in range(2)]
    assert [process.wait() for process in processes] == [0] * 8
    assert [fresh(store).find(digest(letter))[1] for letter in "abcdef"] == [[]] * 6
    assert [entry.label.name for entry in cache.entries(store)[0]] == [f"artifact-{letter}" for letter in "abcdef"]
    assert cache.verify(fresh(store)) == ([], [])


def test_a_place_that_cannot_be_written_is_a_diagnostic(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Stop) as stop:
        put(Store(tmp_path / "file" / "store"), tmp_path / "in")
    assert [d.code for d in stop.value.diagnostics] == [Code.CANNOT_WRITE]
    assert Store(tmp_path / "file" / "store").find(digest("a")) == (None, [])


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"SLMC_STORE": "/s", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/slmc"),
        ({"SLMC_STORE": "", "XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/slmc"),
    ],
)
def test_where_the_store_is(environment: dict[str, str], root: str) -> None:
    assert default_root(environment) == Path(root)


@pytest.mark.parametrize(
    ("written", "broken"),
    [
        ('"digest": "sha256:', '"digest": "../../../'),
        ('"dev.slmc.remarks": "[]"', '"dev.slmc.remarks": "3"'),
        ('"dev.slmc.remarks": "[]"', '"dev.slmc.remarks": "[\\"x\\"]"'),
        ('"dev.slmc.name": "assistant-1.0-int4"', '"dev.slmc.name": 3'),
    ],
)
def test_an_index_with_one_wrong_value_is_damaged(store: Store, stored: Stored, written: str, broken: str) -> None:
    path = store.root / "index.json"
    text = path.read_text()
    assert written in text
    path.write_text(text.replace(written, broken))
    entries, (finding,) = store.index()
    assert (entries, finding.code.id) == ([], "SLM507")
