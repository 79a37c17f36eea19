"""Quantization steps of a recipe, with their parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from compiler.blueprint.scalars import ByteSize, RelativePath
from compiler.blueprint.spec import Spec

BlockSize = Annotated[
    Literal[16, 32, 64, 128, 256], Field(description="Weights that share a scale. Smaller: better and larger.")
]


PerChannel = Annotated[bool, Field(description="One scale for each output channel: same size, better quality.")]
ReduceRange = Annotated[
    bool, Field(description="7-bit weights: for x86 without VNNI, whose 8-bit products overflow (SLM603).")
]


class CalibrateSpec(Spec):
    """Texts that a step runs the model on, to see what its values are like."""

    data: Annotated[RelativePath, Field(description='JSON Lines in the workspace, one `{"text": …}` per line.')]
    samples: Annotated[int, Field(ge=1, le=100_000, description="How many texts to use at most.")] = 128
    max_tokens: Annotated[int, Field(ge=2, le=4096, description="Tokens of each text at most.")] = 128


class QuantizeDynamicStep(Spec):
    """8-bit weights and activations; activations are scaled at run time."""

    kind: Literal["quantize"]
    scheme: Literal["int8-dynamic"]
    per_channel: PerChannel = True
    reduce_range: ReduceRange = False
    embeddings: Annotated[
        Literal["keep", "int8"], Field(description="What becomes of the table of token embeddings.")
    ] = "int8"


class QuantizeStaticStep(Spec):
    """8-bit weights, and activations with scales found by calibration (QDQ format)."""

    kind: Literal["quantize"]
    scheme: Literal["int8-static"]
    calibrate: Annotated[CalibrateSpec, Field(description="What the scales of activations are found on.")]
    method: Annotated[
        Literal["minmax", "entropy", "percentile"],
        Field(description="How a range is chosen from what was seen. `entropy` often clips what transformers need."),
    ] = "minmax"
    percentile: Annotated[float, Field(gt=50, le=100, description="For `method: percentile`.")] = 99.99
    smooth_quant: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Strength with which outliers move from activations to weights, such as 0.8. Helps models with "
            "strong outliers, and harms others.",
        ),
    ] = None
    activations: Annotated[
        Literal["int8", "int16"],
        Field(description="`int16` loses far less, but ONNX Runtime's CPU kernels hardly gain from it."),
    ] = "int8"
    per_channel: PerChannel = True
    reduce_range: ReduceRange = False
    embeddings: Annotated[
        Literal["keep", "int8"], Field(description="What becomes of the table of token embeddings.")
    ] = "int8"
    leave: Annotated[
        list[str],
        Field(
            description="Names of weights, with `*`, that stay as they are: matrices whose inputs do not bear 8 bits, "
            "for a block-wise step that follows."
        ),
    ] = []


class QuantizeBlockwiseStep(Spec):
    """4- or 8-bit weights in blocks that share one scale; activations stay as they are."""

    kind: Literal["quantize"]
    scheme: Literal["int4", "int8"]
    method: Annotated[
        Literal["rtn", "k-quant", "hqq", "gptq"],
        Field(
            description="How values are chosen: by rounding; by a search for scales; by half-quadratic "
            "splitting (int4 only); by data. `k-quant` and `hqq` are never symmetric."
        ),
    ] = "rtn"
    block_size: BlockSize = 32
    symmetric: Annotated[bool, Field(description="Without zero points: a little smaller and worse.")] = False
    embeddings: Annotated[
        Literal["keep", "int8", "int4"], Field(description="What becomes of the table of token embeddings.")
    ] = "int8"
    head: Annotated[
        Literal["keep", "quantize"], Field(description="What becomes of the last matrix, which gives the logits.")
    ] = "quantize"
    activations: Annotated[
        Literal["float32", "int8"],
        Field(description="`int8` multiplies with activations rounded to 8 bits: much faster, hardly worse."),
    ] = "int8"
    calibrate: Annotated[CalibrateSpec | None, Field(description="For `method: gptq`.")] = None


class QuantizeHalfStep(Spec):
    """16-bit floating point. Size: half. Speed: as float32 on processors without half arithmetic, or slower."""

    kind: Literal["quantize"]
    scheme: Literal["fp16"]
    keep_io: Annotated[bool, Field(description="Inputs and outputs stay float32.")] = True


class MixedTargetSpec(Spec):
    """What a mixed quantization aims at: exactly one of these."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    size: Annotated[ByteSize | None, Field(description="Weights take this much at most.")] = None
    kl_divergence: Annotated[float | None, Field(gt=0, description="Of a text generator, in nats, at most.")] = None
    cosine: Annotated[float | None, Field(gt=0, lt=1, description="Mean, of an embedding model, at least.")] = None


def _one_aim(target: MixedTargetSpec) -> MixedTargetSpec:
    """A size and a quality together might be out of reach; the other one is what a gate is for."""
    if len(target.model_fields_set) == 1:
        return target
    reason = "write exactly one of `size`, `klDivergence` and `cosine`; what else must hold is a gate"
    raise PydanticCustomError("aims", "{reason}", {"reason": reason})


class QuantizeMixedStep(Spec):
    """4 bits, but 8 for the matrices that 4 bits hurt most: found by measuring each on calibration data.

    A quality is reached on that data; what holds on other data is for a gate to say.
    """

    kind: Literal["quantize"]
    scheme: Literal["mixed"]
    calibrate: Annotated[CalibrateSpec, Field(description="What the damage of each matrix is measured on.")]
    target: Annotated[
        MixedTargetSpec, AfterValidator(_one_aim), Field(description="When to stop: a size or a quality.")
    ]
    block_size: BlockSize = 32
    embeddings: Annotated[
        Literal["keep", "int8", "int4"], Field(description="What becomes of the table of token embeddings.")
    ] = "int8"


QuantizeStep = Annotated[
    QuantizeDynamicStep | QuantizeStaticStep | QuantizeBlockwiseStep | QuantizeHalfStep | QuantizeMixedStep,
    Field(discriminator="scheme"),
]
