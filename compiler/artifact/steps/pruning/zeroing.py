"""Single weights that become zero, a matrix at a time and never more than a few pieces of one in memory.

Weights are compared by their bits without the sign, which are ordered as the magnitudes are. Of equal ones the first
go. So the result does not depend on how a library sorts or adds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from compiler.artifact.graph.weights import PIECE, Source, Target, write_changed
from compiler.artifact.graph.wiring import Dense, Wiring, label, matrices
from compiler.artifact.refused import not_finite
from compiler.artifact.steps.step import Bench, Effect, Refused, Remark

_SAMPLE, _LEVEL = 64 * 1024, 6
"""Bytes of each piece that are compressed for the report, and zlib's level."""

NOTE = (
    "Zeros make the file smaller where it is compressed on its way. ONNX Runtime's CPU kernels multiply by them as by "
    "any number: they save neither time nor memory."
)

Bits = Iterator[tuple[Any, Any]]
"""The bits of a matrix's weights in order (flat), with which of them become zero."""


@dataclass(slots=True)
class _Compressed:
    """How small zlib makes a tensor, from a sample of it."""

    seen: int = 0
    made: int = 0
    _packer: Any = field(default_factory=lambda: zlib.compressobj(_LEVEL))

    def add(self, bits: Any) -> None:
        data = bits[: _SAMPLE // bits.itemsize].tobytes()
        self.seen += len(data)
        self.made += len(self._packer.compress(data))

    def share(self) -> float:
        self.made += len(self._packer.flush())
        return self.made / self.seen if self.seen else 1.0


def zero(source: Path, target: Path, choose: Callable[[Source, Dense], Bits], bench: Bench) -> Effect:
    """Write the model with the weights that `choose` marks as zeros.

    The report has each matrix's zeros before and after. Raises Refused for a model without a constant matrix.
    """
    with Source(source) as weights:
        found = {dense.weight.name: dense for dense in matrices(Wiring(weights.model))}
        if not found:
            raise Refused("No MatMul or Gemm of the graph has a constant float32 or float16 matrix.")
        rows: list[dict[str, Any]] = []

        def change(made: Target, tensor: Any) -> Any:
            if tensor.name not in found:
                return None
            new, row = _zeroed(weights, made, found[tensor.name], choose)
            rows.append(row)
            return new

        write_changed(weights, target, change, bench.tell)
    return Effect(any(row["after"] > row["before"] for row in rows), report=_report(rows))


def _zeroed(source: Source, target: Target, dense: Dense, choose: Callable[[Source, Dense], Bits]) -> Any:
    tensor = dense.weight
    new = target.reserve(tensor.name, tensor.data_type, tensor.dims)
    before, after, at, zeros_before, zeros_after = _Compressed(), _Compressed(), 0, 0, 0
    for bits, going in choose(source, dense):
        left = np.where(going, bits.dtype.type(0), bits)
        zeros_before += int(np.count_nonzero(magnitudes(bits) == 0))
        zeros_after += int(np.count_nonzero(magnitudes(left) == 0))
        before.add(bits)
        after.add(left)
        target.write(new, left, at)
        at += left.nbytes
    elements = at // bits_of(tensor).itemsize
    row = {
        "name": tensor.name,
        "node": label(dense.node),
        "shape": list(tensor.dims),
        "before": zeros_before,
        "after": zeros_after,
        "share": round(zeros_after / elements, 4),
        "bytes": at,
        "compressed": [round(at * before.share()), round(at * after.share())],
    }
    return new, row


def _report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    elements = sum(int(np.prod(row["shape"])) for row in rows)
    zeros = [sum(row[key] for row in rows) for key in ("before", "after")]
    return {
        "matrices": rows,
        "weights": elements,
        "zeros": zeros,
        "share": round(zeros[1] / elements, 4),
        "bytes": sum(row["bytes"] for row in rows),
        "compressed": [sum(row["compressed"][side] for row in rows) for side in (0, 1)],
        "compression": f"zlib level {_LEVEL}, from a sample of each matrix",
        "note": NOTE,
    }


def bits_of(tensor: Any) -> Any:
    """The unsigned type as wide as the tensor's floats."""
    return np.dtype(np.uint16 if tensor.data_type == TensorProto.FLOAT16 else np.uint32)


def magnitudes(bits: Any) -> Any:
    """The bits without the sign."""
    return bits & bits.dtype.type(np.iinfo(bits.dtype).max >> 1)


def check_finite(tensor: Any, sizes: Any) -> None:
    """Raise Refused for magnitudes that are infinite or no number."""
    endless = 0x7C00 if sizes.dtype == np.uint16 else 0x7F800000
    if sizes.size and sizes.max() >= endless:
        raise not_finite(tensor.name)


def smallest(source: Source, dense: Dense, share: float) -> Bits:
    """Marks the `share` of a matrix's weights that is smallest in magnitude; rounded down to whole weights."""
    tensor = dense.weight
    limit, equal = _threshold(source, tensor, share)
    for bits in _flat(source, tensor):
        sizes = magnitudes(bits)
        going = sizes < limit
        if equal:
            more = np.flatnonzero(sizes == limit)[:equal]
            going[more] = True
            equal -= len(more)
        yield bits, going


def _threshold(source: Source, tensor: Any, share: float) -> tuple[int, int]:
    """The magnitude below which weights go, and how many of those with exactly that magnitude go too.

    A selection by digits of 16 bits: one pass over the matrix for each digit, and counts instead of a sorted copy.
    """
    low_digits = 8 * (bits_of(tensor).itemsize - 2)
    wanted = int(share * int(np.prod(tensor.dims)) + 1e-9)
    found = 0
    for shift in range(low_digits, -1, -16):
        counts = np.zeros(1 << 16, np.int64)
        for bits in _flat(source, tensor):
            sizes = magnitudes(bits)
            if shift == low_digits:
                check_finite(tensor, sizes)
            else:
                sizes = sizes[sizes >> 16 == found]
            counts += np.bincount((sizes >> shift) & 0xFFFF, minlength=1 << 16)
        ends = np.cumsum(counts)
        digit = min(int(np.searchsorted(ends, wanted, side="right")), (1 << 16) - 1)
        wanted -= int(ends[digit] - counts[digit])
        found = found << 16 | digit
    return found, wanted


def _flat(source: Source, tensor: Any) -> Iterator[Any]:
    for piece in source.pieces(tensor):
        yield np.frombuffer(piece, bits_of(tensor))


def pattern(source: Source, dense: Dense, n: int, m: int) -> Bits:
    """Marks the `n` smallest of every `m` weights in a row along the inner axis; a shorter rest at its end stays."""
    tensor = dense.weight
    rows, columns = tensor.dims
    step = max(1, PIECE // (columns * bits_of(tensor).itemsize) // m) * m
    for start in range(0, rows, step):
        bits = np.ascontiguousarray(source.rows(tensor, start, min(rows, start + step))).view(bits_of(tensor))
        sizes = magnitudes(bits)
        check_finite(tensor, sizes)
        going = np.zeros(bits.shape, bool)
        if dense.inner == 0:
            whole = len(bits) // m * m
            going[:whole] = _lowest(sizes[:whole].reshape(-1, m, columns), n).reshape(whole, columns)
        else:
            whole = columns // m * m
            groups = sizes[:, :whole].reshape(len(bits), -1, m)
            going[:, :whole] = _lowest(groups.transpose(0, 2, 1), n).transpose(0, 2, 1).reshape(len(bits), whole)
        yield bits.reshape(-1), going.reshape(-1)


def _lowest(groups: Any, n: int) -> Any:
    """Which are the `n` lowest along axis 1; of equal ones the first. By rank: groups are too short to sort."""
    m = groups.shape[1]
    rank = np.zeros(groups.shape, np.uint8)
    for one in range(m):
        for other in range(one + 1, m):
            later = groups[:, one] <= groups[:, other]
            rank[:, other] += later
            rank[:, one] += ~later
    return rank < n


def rests(found: Iterator[Dense], m: int) -> list[Remark]:
    """What to say of matrices whose inner axis is no multiple of `m`."""
    uneven = [dense for dense in found if dense.weight.dims[dense.inner] % m]
    if not uneven:
        return []
    first = uneven[0].weight
    size = first.dims[uneven[0].inner]
    others = f", and so {len(uneven) - 1} others" if len(uneven) > 1 else ""
    return [Remark(f"The last {size % m} of {size} weights in a row of `{first.name}`{others}, are no {m} and stay.")]
