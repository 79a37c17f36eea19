"""Small artifacts in a store."""

from __future__ import annotations

from pathlib import Path

from compiler.artifact.artifact import Shape
from compiler.artifact.store.store import Label, Store, Stored
from tests.values import digest

SHAPE = Shape(parameters=8, weight_bytes=32, kv_bytes_per_token=4, context_length=16)
REPOSITORY = Path(__file__).parent.parent.parent


def label(name: str = "assistant-1.0-int4", letter: str = "a") -> Label:
    return Label(digest(letter), name, "assistant@1.0", "int4", digest("5"))


def sources(folder: Path, **contents: str) -> dict[str, Path]:
    """Files named as the keywords, `_` for `.`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, text in contents.items():
        path = folder / name.replace("_", ".", 1)
        path.write_text(text)
        found[path.name] = path
    return found


def put(store: Store, folder: Path, given: Label | None = None, **contents: str) -> Stored:
    return store.put(given or label(), SHAPE, sources(folder, **(contents or {"model_onnx": "M", "t_json": "T"})))


def fresh(store: Store) -> Store:
    """The same store as another run sees it: nothing is known to be whole."""
    return Store(store.root)


def flip(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
