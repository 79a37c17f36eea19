"""What a model's folder has to be, found out before anything is built."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from compiler.artifact.configuration import (
    DEFAULT_GRAPH,
    TOKENIZER,
    Unusable,
    cache_sizes,
    context_length,
    graph_file,
    stays_inside,
)

_CACHE = re.compile(r"past_key_values\.\d+\.(key|value)")
_POINTER = b"version https://git-lfs"


def inspect(folder: str) -> dict[str, Any]:
    """Facts of the model in `folder`, or all that is wrong with it.

    Gives `{"model": file name, "data": names of the files with its external data, "shape": fields of Shape}` or
    `{"problems": [{"code", "message"}, …]}`.
    """
    from compiler.artifact.operators import custom_operators

    root = Path(folder)
    problems: list[Unusable] = []

    def attempt(part: Callable[[], Any], otherwise: Any = None) -> Any:
        try:
            return part()
        except Unusable as error:
            if str(error) not in map(str, problems):
                problems.append(error)
            return otherwise

    name = attempt(lambda: graph_file(root), DEFAULT_GRAPH)
    context = attempt(lambda: context_length(root))
    attempt(lambda: _check_tokenizer(root / TOKENIZER))
    model = attempt(lambda: _read(root / name))
    if model is not None:
        problems += [*_external_data(root / name, model), *custom_operators(model), *_interface(name, model)]
        cache = attempt(lambda: sum(_cache_bytes(root, value) for value in _cache_inputs(model)))
    if not problems:
        attempt(lambda: _check_runs(root, name))
    if problems:
        return {"problems": [{"code": problem.code, "message": str(problem)} for problem in problems]}
    return {"model": name, "data": _data_files(name, model), "shape": _shape(model, cache, context)}


def _shape(model: Any, cache: int, context: int) -> dict[str, int]:
    from compiler.artifact import graphs

    return {
        "parameters": sum(graphs.elements(tensor) for tensor in graphs.tensors(model)),
        "weight_bytes": graphs.weight_bytes(model),
        "kv_bytes_per_token": cache,
        "context_length": context,
    }


def _read(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    from compiler.artifact import graphs

    if not path.is_file():
        raise Unusable("NOT_ONNX", f"`{path.name}` does not exist in the model's folder.")
    try:
        model = graphs.load(path, weights=False)
    except DecodeError:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                message = f"`{path.name}` is a pointer of Git LFS, not the model: `git lfs pull` gets that."
                raise Unusable("NOT_ONNX", message) from None
        raise Unusable("NOT_ONNX", f"`{path.name}` is no ONNX model, or only a part of one.") from None
    if not model.graph.node:
        raise Unusable("NOT_ONNX", f"`{path.name}` has no graph.")
    if not model.opset_import:
        # It stands at the file's end: cut off there, the rest is still well-formed.
        raise Unusable("NOT_ONNX", f"`{path.name}` is no ONNX model, or only a part of one.")
    return model


def _check_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise Unusable("UNSUPPORTED_MODEL", f"The folder has no `{path.name}`.")
    try:
        Tokenizer.from_file(str(path))
    except Exception:
        # The library raises plain `Exception`, for whatever it does not like in the file.
        raise Unusable("UNSUPPORTED_MODEL", f"`{path.name}` is no tokenizer of the `tokenizers` library.") from None


def _check_runs(folder: Path, name: str) -> None:
    """onnxruntime has the last word on what is a model; the recipe is not to be blamed for it."""
    from compiler.artifact.decoder import Decoder
    from compiler.artifact.reason import reason

    try:
        decoder = Decoder(folder, threads=1)
    except Exception as error:
        raise Unusable("NOT_ONNX", f"onnxruntime does not load `{name}`: {reason(error)}") from None
    try:
        _, cache = decoder([0, 0], 0, decoder.empty_cache())
        decoder([0], 2, cache)
    except Exception as error:
        raise Unusable("UNSUPPORTED_MODEL", f"onnxruntime does not run `{name}`: {reason(error)}") from None


def _data_files(name: str, model: Any) -> list[str]:
    """Relative to the model's folder, as `name` is."""
    from onnx import TensorProto

    from compiler.artifact import graphs

    locations = {
        entry.value
        for tensor in graphs.tensors(model)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted((PurePosixPath(name).parent / location).as_posix() for location in locations)


def _external_data(path: Path, model: Any) -> Iterator[Unusable]:
    """Every tensor outside the ONNX file must be an initializer and lie whole in a file of the same folder; once for
    each file."""
    from onnx import TensorProto

    from compiler.artifact import graphs

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
    from compiler.artifact import graphs

    if not stays_inside(location):
        return f"Tensor `{tensor.name}` lies in `{location}`, outside the model's folder."
    file = folder / PurePosixPath(location)
    if not file.is_file():
        return f"`{location}` does not exist; tensor `{tensor.name}` lies in it."
    if not file.resolve().is_relative_to(folder.resolve()):
        return f"`{location}`, which holds tensor `{tensor.name}`, is a link out of the model's folder."
    try:
        end = int(facts.get("offset") or 0) + int(facts.get("length") or graphs.tensor_bytes(tensor))
    except ValueError:
        return f"Tensor `{tensor.name}` does not say where in `{location}` it lies."
    size = file.stat().st_size
    return f"`{location}` has {size} bytes; tensor `{tensor.name}` ends at {end}." if end > size else None


def _interface(name: str, model: Any) -> Iterator[Unusable]:
    """What is missing for text-generation."""
    inputs = {value.name for value in model.graph.input}
    outputs = {value.name: value for value in model.graph.output}
    if "input_ids" not in inputs:
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no input `input_ids`; text-generation needs one.")
    if not _cache_inputs(model):
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no inputs `past_key_values.*`: it has no KV cache.")
    if "logits" not in outputs:
        yield Unusable("UNSUPPORTED_MODEL", f"`{name}` has no output `logits`; text-generation needs one.")
    elif [size.dim_value for size in outputs["logits"].type.tensor_type.shape.dim][1:2] == [1]:
        yield Unusable(
            "UNSUPPORTED_MODEL", f"`{name}` gives logits for the last position only; evaluation needs all of them."
        )


def _cache_inputs(model: Any) -> list[Any]:
    return [value for value in model.graph.input if _CACHE.fullmatch(value.name)]


def _cache_bytes(folder: Path, value: Any) -> int:
    """Bytes per token of one cache input. Raises Unusable."""
    from onnx import helper

    declared = [size.dim_value for size in value.type.tensor_type.shape.dim]
    if len(declared) != 4:
        raise Unusable("UNSUPPORTED_MODEL", f"Input `{value.name}` is not batch × heads × tokens × head size.")
    heads, size = cache_sizes(folder, declared)
    return int(heads * size * helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).itemsize)
