"""What an encoder is made into, and by what: the recipes of slmc, and the peers' own ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compiler.base.units import parse_bytes

CALIBRATION = "calibrate.data"
"""The key under which steps look for their texts."""

_TEXTS = {"data": "calibration.jsonl", "samples": 292}
_OUTER = "encoder.layer.?.output.dense.weight"
"""The products behind GELU, whose inputs bear 8 bits least."""


@dataclass(frozen=True, slots=True)
class Aim:
    """At most so many MB of graph and weights and this share of fp32's time, and at least this mean cosine."""

    megabytes: float
    cosine: float
    latency: float | None = None


EIGHT, FOUR = Aim(24.5, 0.999, 0.6), Aim(15.0, 0.975)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe of slmc, its steps as a blueprint has them."""

    name: str
    steps: tuple[dict[str, Any], ...]
    aim: Aim | None = None

    def built(self, calibration: str) -> list[dict[str, Any]]:
        """The steps as `apply_step` takes them."""
        found = []
        for step in self.steps:
            parameters = {key: value for key, value in step.items() if key != "kind"}
            if "target" in step:
                parameters["target"] = {"size": parse_bytes(step["target"]["size"])}
            files = {CALIBRATION: calibration} if "calibrate" in step else {}
            name = "/".join(step[key] for key in ("kind", "scheme") if key in step)
            found.append({"name": name, "parameters": parameters, "files": files})
        return found


@dataclass(frozen=True, slots=True)
class Peer:
    """Another tool's own way: what `peer.py` gets."""

    name: str
    tool: str
    bits: int


def _quantize(scheme: str, **parameters: Any) -> dict[str, Any]:
    return {"kind": "quantize", "scheme": scheme, **parameters}


def _static(**parameters: Any) -> dict[str, Any]:
    return _quantize("int8-static", calibrate=_TEXTS, **parameters)


def _blocks(size: int, **parameters: Any) -> dict[str, Any]:
    return _quantize("int8", blockSize=size, symmetric=True, **parameters)


def _four(size: int, **parameters: Any) -> dict[str, Any]:
    return _quantize("int4", blockSize=size, embeddings="int4", **parameters)


FUSED = {"kind": "optimize", "transformer": "bert"}

RECIPES = (
    Recipe("fp16", (_quantize("fp16"),)),
    Recipe("int8-dynamic per channel", (_quantize("int8-dynamic"),)),
    Recipe("fusions, int8-dynamic per channel", (FUSED, _quantize("int8-dynamic"))),
    Recipe("int8 blocks of 128, symmetric", (_blocks(128),), EIGHT),
    Recipe("optimize, int8 blocks of 128, symmetric", ({"kind": "optimize"}, _blocks(128)), EIGHT),
    Recipe("fusions, int8 blocks of 128, symmetric", (FUSED, _blocks(128)), EIGHT),
    Recipe("int8 blocks of 64, symmetric", (_blocks(64),), EIGHT),
    Recipe("int8 blocks of 256, symmetric", (_blocks(256),), EIGHT),
    Recipe("int8-static", (_static(),), EIGHT),
    Recipe("int8-static smooth 0.8", (_static(smoothQuant=0.8),), EIGHT),
    Recipe("int8-static int16 activations", (_static(activations="int16"),), EIGHT),
    Recipe(
        "int8-static smooth 0.7 and, behind GELU, int8 blocks of 128",
        (_static(smoothQuant=0.7, leave=[_OUTER]), _blocks(128, embeddings="keep")),
        EIGHT,
    ),
    Recipe("int4 rtn blocks of 32, symmetric", (_four(32, symmetric=True),), FOUR),
    Recipe("int4 k-quant blocks of 32", (_four(32, method="k-quant"),), FOUR),
    Recipe("int4 k-quant blocks of 64", (_four(64, method="k-quant"),), FOUR),
    Recipe(
        "mixed 4 and 8 bit blocks of 64",
        (_quantize("mixed", calibrate=_TEXTS, target={"size": "14.9MB"}, blockSize=64, embeddings="int4"),),
        FOUR,
    ),
    Recipe("int4 gptq blocks of 64", (_four(64, method="gptq", calibrate=_TEXTS),), FOUR),
    Recipe("int4 gptq blocks of 32, symmetric", (_four(32, method="gptq", symmetric=True, calibrate=_TEXTS),), FOUR),
)

PEERS = (
    Peer("dynamic int8, its defaults", "defaults", 8),
    Peer("dynamic int8 per channel, signed weights", "channels", 8),
    Peer("MatMulNBits 8 bit blocks of 32", "nbits", 8),
    Peer("MatMulNBits 4 bit blocks of 32", "nbits", 4),
    Peer("MatMulNBits 4 bit blocks of 32, symmetric, Gather too", "lookups", 4),
)
