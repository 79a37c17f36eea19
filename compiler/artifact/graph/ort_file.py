"""onnxruntime's own file format, a FlatBuffer: made the same every time, and read for the operators in it.

Where onnxruntime writes it, everything has a fixed order but one table, the arguments of each operator's type
parameters: that comes in the order of a hash map whose seed is an address of the process. It stands, with the root, in
front of the model, which it does not point into: so the front is written anew, sorted, and the rest stays.
Schema: onnxruntime/core/flatbuffers/schema/ort.fbs, version 6.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compiler.artifact.inference import runtime

LARGEST = 2**31 - 2**20
"""Bytes of weights: offsets in a FlatBuffer have 31 bits."""

_ALIGNED = 16
"""The largest alignment of anything in the file, counted from its end."""

_IDENTIFIER = b"ORTM"

_Arguments = list[tuple[str, list[tuple[str, list[tuple[int, int]]]]]]
"""By operator, by type parameter: whether an input or an output, and which."""


def settle(written: Path, settled: Path) -> None:
    """Copy a file that onnxruntime wrote, with its one unordered table sorted."""
    with _opened(written) as (buffer, session), settled.open("wb") as file:
        model = session.Model()._tab
        start = min(model.Pos, model.Pos - _signed(buffer, model.Pos))
        file.write(_front(session, len(buffer) - start, model.Pos - start))
        with memoryview(buffer) as view, view[start:] as rest:
            file.write(rest)


def operators(path: Path) -> Mapping[str, Mapping[int, list[str]]]:
    """The operators of a file, sorted: by domain (`ai.onnx` for ONNX's own) and by the version that they are of."""
    found: dict[str, dict[int, set[str]]] = {}
    with _opened(path) as (_, session):
        for node in _nodes(session.Model().Graph()):
            domain = node.Domain().decode() or "ai.onnx"
            found.setdefault(domain, {}).setdefault(node.SinceVersion(), set()).add(node.OpType().decode())
    return {domain: {v: sorted(found[domain][v]) for v in sorted(found[domain])} for domain in sorted(found)}


def required_operators(path: Path) -> str:
    """The file that `build.py --include_ops_by_config` of onnxruntime reads, for a build with these operators only."""
    lines = [f"# Operators of {path.name}\n"]
    for domain, versions in operators(path).items():
        lines += [f"{domain};{version};{','.join(names)}\n" for version, names in versions.items()]
    return "".join(lines)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        yield buffer, runtime.ort_schema().InferenceSession.InferenceSession.GetRootAs(buffer, 0)


def _nodes(graph: Any) -> Iterator[Any]:
    for number in range(graph.NodesLength()):
        node = graph.Nodes(number)
        yield node
        for attribute in map(node.Attributes, range(node.AttributesLength())):
            if inner := attribute.G():
                yield from _nodes(inner)
            for inner in map(attribute.Graphs, range(attribute.GraphsLength())):
                yield from _nodes(inner)


def _front(session: Any, rest: int, model: int) -> bytes:
    """What stands in front of the last `rest` bytes, `model` bytes into which the model's table begins."""
    import flatbuffers

    # A short stand-in of the same alignment: offsets are relative, so they do not see the difference.
    stand_in = 4 * _ALIGNED + rest % _ALIGNED
    builder = flatbuffers.Builder(0)
    builder.minalign = _ALIGNED
    builder.Pad(stand_in)
    fbs = runtime.ort_schema()
    resolver = _resolver(builder, fbs, _arguments(session.KernelTypeStrResolver()))
    version = builder.CreateString(session.OrtVersion())
    fbs.InferenceSession.Start(builder)
    fbs.InferenceSession.AddOrtVersion(builder, version)
    fbs.InferenceSession.AddModel(builder, stand_in - model)
    fbs.InferenceSession.AddKernelTypeStrResolver(builder, resolver)
    builder.Finish(fbs.InferenceSession.End(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output()[:-stand_in])


def _arguments(resolver: Any) -> _Arguments:
    found = []
    for entry in map(resolver.OpKernelTypeStrArgs, range(resolver.OpKernelTypeStrArgsLength())):
        kinds = []
        for kind in map(entry.KernelTypeStrArgs, range(entry.KernelTypeStrArgsLength())):
            places = [(place.ArgType(), place.Index()) for place in map(kind.Args, range(kind.ArgsLength()))]
            kinds.append((kind.KernelTypeStr().decode(), places))
        found.append((entry.OpId().decode(), sorted(kinds)))
    return sorted(found)


def _resolver(builder: Any, fbs: Any, arguments: _Arguments) -> int:
    entries = []
    for operator, kinds in arguments:
        named = []
        for kind, places in kinds:
            text, listed = builder.CreateString(kind), _vector(builder, [_place(builder, fbs, *at) for at in places])
            fbs.KernelTypeStrArgsEntry.Start(builder)
            fbs.KernelTypeStrArgsEntry.AddKernelTypeStr(builder, text)
            fbs.KernelTypeStrArgsEntry.AddArgs(builder, listed)
            named.append(fbs.KernelTypeStrArgsEntry.End(builder))
        text, listed = builder.CreateString(operator), _vector(builder, named)
        fbs.OpIdKernelTypeStrArgsEntry.Start(builder)
        fbs.OpIdKernelTypeStrArgsEntry.AddOpId(builder, text)
        fbs.OpIdKernelTypeStrArgsEntry.AddKernelTypeStrArgs(builder, listed)
        entries.append(fbs.OpIdKernelTypeStrArgsEntry.End(builder))
    listed = _vector(builder, entries)
    fbs.KernelTypeStrResolver.Start(builder)
    fbs.KernelTypeStrResolver.AddOpKernelTypeStrArgs(builder, listed)
    return int(fbs.KernelTypeStrResolver.End(builder))


def _place(builder: Any, fbs: Any, kind: int, index: int) -> int:
    fbs.ArgTypeAndIndex.Start(builder)
    fbs.ArgTypeAndIndex.AddArgType(builder, kind)
    fbs.ArgTypeAndIndex.AddIndex(builder, index)
    return int(fbs.ArgTypeAndIndex.End(builder))


def _vector(builder: Any, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _signed(buffer: Any, at: int) -> int:
    return int.from_bytes(buffer[at : at + 4], "little", signed=True)
