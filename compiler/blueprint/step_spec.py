"""The steps that a recipe may have, with their parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from compiler.blueprint.scalars import ByteSize, RelativePath, Share
from compiler.blueprint.spec import Spec

BlockSize = Annotated[
    Literal[16, 32, 64, 128, 256], Field(description="Weights that share a scale. Smaller: better and larger.")
]


class CalibrateSpec(Spec):
    """Texts that a step runs the model on, to see what its values are like."""

    data: Annotated[RelativePath, Field(description='JSON Lines in the workspace, one `{"text": …}` per line.')]
    samples: Annotated[int, Field(ge=1, le=100_000, description="How many texts to use at most.")] = 128
    max_tokens: Annotated[int, Field(ge=2, le=4096, description="Tokens of each text at most.")] = 128


class OptimizeStep(Spec):
    """ONNX Runtime's graph optimization, saved. Speed: fewer nodes. Size and quality: unchanged."""

    kind: Literal["optimize"]
    level: Annotated[
        Literal["basic", "extended"], Field(description="`extended` also fuses nodes, for the CPU provider.")
    ] = "extended"
    transformer: Annotated[
        Literal["bert", "gpt2", "bart", "vit", "t5"] | None,
        Field(
            description="Also fuse attention, layer norm and GELU as this kind of transformer has them. Measure it: it "
            "has been slower on a CPU."
        ),
    ] = None


class QuantizeDynamicStep(Spec):
    """8-bit weights and activations; activations are scaled at run time."""

    kind: Literal["quantize"]
    scheme: Literal["int8-dynamic"]
    per_channel: Annotated[bool, Field(description="One scale for each output channel: same size, better quality.")] = (
        True
    )
    reduce_range: Annotated[
        bool, Field(description="7-bit weights: for x86 without VNNI, whose 8-bit products overflow (SLM603).")
    ] = False
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
    per_channel: Annotated[bool, Field(description="One scale for each output channel: same size, better quality.")] = (
        True
    )
    reduce_range: Annotated[
        bool, Field(description="7-bit weights: for x86 without VNNI, whose 8-bit products overflow (SLM603).")
    ] = False
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


class PruneMagnitudeStep(Spec):
    """The smallest weights become zero. Saves bytes to transfer; no time or memory on ONNX Runtime's CPU kernels."""

    kind: Literal["prune"]
    method: Literal["magnitude"]
    sparsity: Annotated[Share, Field(lt=1, description="Share of each matrix's weights that become zero.")]


class PrunePatternStep(Spec):
    """N of every M weights of a column become zero: a pattern that some accelerators use."""

    kind: Literal["prune"]
    method: Literal["n-of-m"]
    n: Annotated[int, Field(ge=1, le=15, description="How many become zero …")] = 2
    m: Annotated[int, Field(ge=2, le=16, description="… of so many in a row; more than `n`.")] = 4

    @field_validator("m")
    @classmethod
    def _leaves_some(cls, m: int, others: ValidationInfo) -> int:
        """Of what was written; the step looks at defaults too."""
        if m <= others.data.get("n", 0):
            reason = "if `m` is not more than `n`, no weight is left"
            raise PydanticCustomError("spelling", "{reason}", {"reason": reason})
        return m


class PruneStructureStep(Spec):
    """Whole attention heads or neurons go: matrices shrink, which saves memory and time everywhere."""

    kind: Literal["prune"]
    method: Literal["heads", "neurons"]
    share: Annotated[
        Share, Field(lt=1, description="Share of each layer's heads or neurons that go; rounded down to whole ones.")
    ]


class SparseEncodeStep(Spec):
    """Tensors with many zeros are stored as indices and values, where that is really smaller when compressed."""

    kind: Literal["sparse-encode"]


class FixShapesStep(Spec):
    """Symbolic dimensions get a number, which some runtimes and accelerators need."""

    kind: Literal["fix-shapes"]
    dimensions: Annotated[
        dict[str, Annotated[int, Field(ge=1)]],
        Field(min_length=1, description="By name as the graph has it: `{batch: 1, sequence: 128}`."),
    ]


class ConvertOpsetStep(Spec):
    """The graph in another version of the ONNX operators."""

    kind: Literal["convert-opset"]
    opset: Annotated[int, Field(ge=7, le=30, description="Version of the default domain.")]


class ExtractStep(Spec):
    """A part of the graph, between named values."""

    kind: Literal["extract"]
    inputs: Annotated[list[str], Field(min_length=1, description="Values that become inputs.")]
    outputs: Annotated[list[str], Field(min_length=1, description="Values that become outputs.")]


class MergeAdapterStep(Spec):
    """A LoRA adapter, added to the weights that it was trained for. No cost at run time."""

    kind: Literal["merge-adapter"]
    adapter: Annotated[
        RelativePath,
        Field(description="Folder in the workspace with `adapter_model.safetensors` and `adapter_config.json`."),
    ]


class OrtFormatStep(Spec):
    """ONNX Runtime's own format, with the list of operators for a reduced build of it."""

    kind: Literal["ort-format"]


class PackageStep(Spec):
    """A folder that onnxruntime-genai loads, by its model builder, from PyTorch weights: it has to be the first step.

    Once for a store: `slmc converters install genai`.
    """

    kind: Literal["package"]
    format: Literal["genai"]
    precision: Annotated[Literal["fp32", "fp16", "int4"], Field(description="Of the weights.")] = "fp32"
    block_size: Annotated[BlockSize, Field(description="For `precision: int4`.")] = 32


class ConvertStep(Spec):
    """The format of another runtime, by its vendor's own converter; once for a store: `slmc converters install FORMAT`.

    `openvino` starts from ONNX. The others start from PyTorch weights: there it has to be the first step.
    """

    kind: Literal["convert"]
    format: Annotated[
        Literal["litert", "executorch", "openvino", "gguf", "tensorflow-lite", "pytorch-mobile"],
        Field(description="`tensorflow-lite` is called litert today, `pytorch-mobile` executorch."),
    ]
    precision: Annotated[
        Literal["fp32", "fp16", "int8", "int4"], Field(description="Of the weights; `executorch` has no `fp16`.")
    ] = "fp32"
    sequence_length: Annotated[
        int, Field(ge=1, le=8192, description="Tokens of an input: `litert` and `executorch` fix it.")
    ] = 128


QuantizeStep = Annotated[
    QuantizeDynamicStep | QuantizeStaticStep | QuantizeBlockwiseStep | QuantizeHalfStep | QuantizeMixedStep,
    Field(discriminator="scheme"),
]
PruneStep = Annotated[PruneMagnitudeStep | PrunePatternStep | PruneStructureStep, Field(discriminator="method")]
StepSpec = Annotated[
    OptimizeStep
    | QuantizeStep
    | PruneStep
    | SparseEncodeStep
    | FixShapesStep
    | ConvertOpsetStep
    | ExtractStep
    | MergeAdapterStep
    | OrtFormatStep
    | PackageStep
    | ConvertStep,
    Field(discriminator="kind"),
]


_PATHS: tuple[tuple[str, ...], ...] = (("adapter",), ("calibrate", "data"))
"""The parameters, of whatever step, that name a file or folder of the workspace."""


def step_paths(step: Spec) -> list[tuple[tuple[str, ...], str]]:
    """The paths that a step's parameters name, each with where it stands in the step."""
    found: list[tuple[tuple[str, ...], str]] = []
    for keys in _PATHS:
        value: Any = step
        for key in keys:
            value = getattr(value, key, None)
        if value is not None:
            found.append((keys, value))
    return found
