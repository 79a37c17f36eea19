"""What `slmc cache` does with a store: list, verify, prune."""

from __future__ import annotations

import os
from pathlib import Path

from compiler.artifact.store import cache, layout
from compiler.artifact.store.store import Store, Stored
from compiler.base import digests
from tests.artifact.shelf import flip, fresh, label, put
from tests.tree import tree
from tests.values import digest


def test_manifests_of_others_stay(store: Store, stored: Stored) -> None:
    data = b'{"config":{"digest":"%s"},"layers":[]}' % digest("f").encode()
    store.blobs.put(data)
    (store.blobs.folder / ("f" * 64)).write_bytes(b"their config")
    theirs = {"mediaType": layout.MANIFEST, "digest": digests.of_bytes(data), "size": len(data)}
    entries, _ = store.index()
    store.write_index([*entries, theirs])
    assert fresh(store).find(digest("a")) == (stored, [])
    assert cache.prune(store, set()).artifacts == ("assistant-1.0-int4",)
    assert store.index() == ([theirs], [])
    assert sorted(path.name for path in store.blobs.folder.iterdir()) == sorted(
        ["f" * 64, theirs["digest"].removeprefix("sha256:")]
    )


def test_prune_keeps_what_is_named_and_its_figures(store: Store, stored: Stored, tmp_path: Path) -> None:
    other = put(store, tmp_path / "in2", label("other", "b"), model_onnx="NN", t_json="T")
    for letter, subject in (("e", stored.digest), ("f", other.digest), ("0", None)):
        store.put_record(layout.EVALUATION, label(letter=letter), {"of": letter}, subject)
    pruned = cache.prune(store, {digest("a")})
    assert pruned.artifacts == ("other",)
    assert pruned.freed > 2
    assert fresh(store).find(digest("a")) == (stored, [])
    assert [fresh(store).record(layout.EVALUATION, digest(letter))[0] for letter in "ef0"] == [
        {"of": "e"},
        None,
        {"of": "0"},
    ]
    assert cache.verify(fresh(store)) == ([], [])


def test_prune_of_everything_leaves_nothing(store: Store, stored: Stored) -> None:
    store.put_record(layout.ORIGINAL, label(letter="0"), {}, None)
    cache.prune(store, set())
    assert sorted(tree(store.root)) == ["index.json", "oci-layout"]
    assert cache.prune(Store(store.root / "none"), set()) == cache.Pruned((), 0)


def test_prune_without_names_sweeps_leftovers_only(store: Store, stored: Stored) -> None:
    before = tree(store.root)
    (store.blobs.folder / ("9" * 64)).write_bytes(b"nobody names me")
    (store.root / ".slmc-tmp-dead").mkdir()
    (store.root / ".slmc-tmp-dead" / "model.onnx").write_bytes(b"half")
    with store.scratch() as busy:
        (busy / "work").write_bytes(b"in use")
        assert cache.prune(fresh(store), None) == cache.Pruned((), len(b"nobody names me") + len(b"half"))
        assert (busy / "work").read_bytes() == b"in use"
    assert tree(store.root) == before


def test_list_and_verify(store: Store, stored: Stored, tmp_path: Path) -> None:
    put(store, tmp_path / "in2", label("another", "b"), model_onnx="NN")
    entries, diagnostics = cache.entries(store)
    assert [(entry.label, entry.size) for entry in entries] == [(label("another", "b"), 2), (label(), 2)]
    assert diagnostics == []
    assert entries[1].digest == stored.digest
    flip(store.path_of(stored.files[1].digest))
    assert cache.verify(fresh(store)) == (
        [cache.Damage("assistant-1.0-int4", stored.files[1].digest, "does not have the content that its digest names")],
        [],
    )


def test_finding_marks_as_used(store: Store, stored: Stored) -> None:
    os.utime(store.path_of(stored.digest), (1000, 1000))
    assert cache.entries(store)[0][0].last_used == 1000
    fresh(store).find(digest("a"))
    assert cache.entries(store)[0][0].last_used > 1000
