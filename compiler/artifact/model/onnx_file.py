"""The ONNX file of a model's folder, and the files that hold its external data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from compiler.artifact.configuration import Unusable, is_pointer, stays_inside

_LAST_KNOWN_TYPE = 22
"""INT4, as a TensorProto numbers types. Those after it may have several elements in a byte."""


def read(path: Path) -> Any:
    """The ModelProto, its external data left on the disk. Raises Unusable."""
    from google.protobuf.message import DecodeError

    from compiler.artifact.graph import graphs

    if not path.is_file():
        raise Unusable("NOT_ONNX", f"`{path.name}` does not exist in the model's folder.")
    try:
        model = graphs.load(path, weights=False)
    except DecodeError:
        if is_pointer(path):
            message = f"`{path.name}` is a pointer of Git LFS, not the model: `git lfs pull` gets that."
            raise Unusable("NOT_ONNX", message) from None
        raise Unusable("NOT_ONNX", f"`{path.name}` is no ONNX model, or only a part of one.") from None
    if not model.graph.node:
        raise Unusable("NOT_ONNX", f"`{path.name}` has no graph.")
    if not model.opset_import:
        # It stands at the file's end: cut off there, the rest is still well-formed.
        raise Unusable("NOT_ONNX", f"`{path.name}` is no ONNX model, or only a part of one.")
    return model


def data_files(name: str, model: Any) -> list[str]:
    """Relative to the model's folder, as `name` is."""
    from onnx import TensorProto

    from compiler.artifact.graph import graphs

    locations = {
        entry.value
        for tensor in graphs.tensors(model)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted((PurePosixPath(name).parent / location).as_posix() for location in locations)


def external_faults(path: Path, model: Any) -> Iterator[Unusable]:
    """Every tensor outside the ONNX file must be an initializer and lie whole in a file of the same folder; once for
    each file."""
    from onnx import TensorProto

    from compiler.artifact.graph import graphs

    for tensor, owner in graphs.other_tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            yield Unusable("EXTERNAL_DATA", f"{owner} lies outside the ONNX file; only initializers may.")
    seen = set()
    for tensor in graphs.tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            facts = {entry.key: entry.value for entry in tensor.external_data}
            location = facts.get("location", "")
            message = _fault(path.parent, location, facts, tensor)
            if message and location not in seen:
                seen.add(location)
                yield Unusable("EXTERNAL_DATA", message)


def _fault(folder: Path, location: str, facts: dict[str, str], tensor: Any) -> str | None:
    """What is wrong with the file that holds a tensor."""
    from compiler.artifact.graph import graphs

    if not stays_inside(location):
        return f"Tensor `{tensor.name}` lies in `{location}`, outside the model's folder."
    file = folder / PurePosixPath(location)
    if not file.is_file():
        return f"`{location}` does not exist; tensor `{tensor.name}` lies in it."
    if not file.resolve().is_relative_to(folder.resolve()):
        return f"`{location}`, which holds tensor `{tensor.name}`, is a link out of the model's folder."
    known = graphs.tensor_bytes(tensor)
    try:
        start, length = int(facts.get("offset") or 0), int(facts.get("length") or known)
    except ValueError:
        return f"Tensor `{tensor.name}` does not say where in `{location}` it lies."
    if start < 0:
        return f"Tensor `{tensor.name}` is said to start at {start} in `{location}`."
    if length < 0 or (length != known and tensor.data_type <= _LAST_KNOWN_TYPE):
        said = f"Tensor `{tensor.name}` is said to have {length} bytes in `{location}`"
        return f"{said}; by shape and type it has {known}."
    size, end = file.stat().st_size, start + length
    return f"`{location}` has {size} bytes; tensor `{tensor.name}` ends at {end}." if end > size else None
