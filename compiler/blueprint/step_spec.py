"""The steps that a recipe may have, with their parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from compiler.blueprint.quantize_spec import BlockSize, QuantizeStep
from compiler.blueprint.scalars import RelativePath, Share
from compiler.blueprint.spec import Spec


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


ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Of the folder that `adapter` names, in the layout of PEFT."""

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
