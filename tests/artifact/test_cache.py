"""What `slmc cache` does with a store: list, verify, prune."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.artifact.store import cache, layout
from compiler.artifact.store.store import Store, Stored
from compiler.base import digests
from compiler.base.codes import Code
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


def _of_b(text: str) -> int:
    """Where the entry of the artifact with key `b` has its key."""
    return text.index(digest("b"))


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda text: text[: _of_b(text)], "a"),
        (lambda text: text.replace(f'"dev.slmc.key": "{digest("a")}"', '"dev.slmc.key" = 0'), "b"),
        (lambda text: text.replace('"dev.slmc.name": "another"', '"dev.slmc.name": 3'), "a"),
        (lambda text: text.replace('"manifests"', '"manifest"'), "ab"),
        (lambda text: text.replace("[", "", 1), "ab"),
        (lambda text: "[" * 100_000 + text, "ab"),
        (lambda text: "", ""),
        (lambda text: "{}", ""),
        (lambda text: '[{"mediaType": 1}, 3]', ""),
    ],
)
def test_what_can_be_read_of_a_damaged_index_is_kept(
    store: Store, stored: Stored, tmp_path: Path, damage: Callable[[str], str], kept: str
) -> None:
    put(store, tmp_path / "in2", label("another", "b"), model_onnx="NN")
    path = store.root / "index.json"
    whole = {letter: fresh(store).find(digest(letter))[0] for letter in "ab"}
    path.write_text(damage(path.read_text()))
    found, (finding,) = cache.verify(fresh(store))
    assert (found, finding.code, finding.message) == (
        [],
        Code.CORRUPT_BLOB,
        f"`index.json` of the store is damaged: {len(kept)} of its entries can be read. "
        "What is missing is built anew when it is needed.",
    )
    assert cache.verify(fresh(store)) == ([], [])
    assert {letter: fresh(store).find(digest(letter)) for letter in "ab"} == {
        letter: (whole[letter] if letter in kept else None, []) for letter in "ab"
    }


def test_what_others_wrote_outlives_a_damaged_index(store: Store, stored: Stored) -> None:
    data = b"theirs"
    store.blobs.put(data)
    theirs = {"mediaType": layout.MANIFEST, "digest": digests.of_bytes(data), "size": len(data)}
    store.write_index([*store.index()[0], theirs])
    path = store.root / "index.json"
    path.write_text(path.read_text()[:-3])
    put(fresh(store), store.root.parent / "in3", label("third", "c"), model_onnx="3")
    assert [layout.key_of(entry) for entry in store.index()[0]] == [None, digest("a"), digest("c")]


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    assert cache.verify(Store(tmp_path / "none")) == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_finding_marks_as_used(store: Store, stored: Stored) -> None:
    os.utime(store.path_of(stored.digest), (1000, 1000))
    assert cache.entries(store)[0][0].last_used == 1000
    fresh(store).find(digest("a"))
    assert cache.entries(store)[0][0].last_used > 1000
