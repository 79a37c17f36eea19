"""What a model's folder has to be, found out before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import DEFAULT_GRAPH, TOKENIZER, Unusable
from compiler.artifact.model import checkpoint_folder, encoder_folder, generator_folder, onnx_file
from compiler.artifact.model.checkpoint import is_checkpoint


def inspect(folder: str, task: str, from_checkpoint: bool = False) -> dict[str, Any]:
    """Facts of the model in `folder`, or all that is wrong with it.

    `task` is a blueprint's; `from_checkpoint` says that the recipe begins with a step that reads a Hugging Face folder.
    Gives one of

    - `{"model": file name, "data": names of the files with its external data, "shape": fields of Shape}`;
    - `{"export": model type}` for weights that a graph has to be built for first, see `export`;
    - `{"problems": [{"code", "message", "help" where it is known}, …]}`.
    """
    from compiler.artifact.graph.operators import custom_operators

    root = Path(folder)
    problems: list[Unusable] = []

    def attempt(part: Callable[[], Any], otherwise: Any = None) -> Any:
        try:
            return part()
        except Unusable as error:
            if str(error) not in map(str, problems):
                problems.append(error)
            return otherwise

    kind = generator_folder if task == "text-generation" else encoder_folder
    if is_checkpoint(root) and not kind.holds(root):
        found = attempt(lambda: checkpoint_folder.inspect(root, task, from_checkpoint), {})
        attempt(lambda: check_tokenizer(root / TOKENIZER))
        problems += found.pop("problems", [])
        return _refused(problems) if problems else dict(found)
    name = attempt(lambda: kind.graph_file(root), DEFAULT_GRAPH)
    context = attempt(lambda: kind.context_length(root))
    attempt(lambda: check_tokenizer(root / TOKENIZER))
    model = attempt(lambda: onnx_file.read(root / name))
    if model is not None and (mistaken := kind.mistaken(name, model, task)):
        return _refused([mistaken])
    if model is not None:
        problems += [*onnx_file.external_faults(root / name, model), *custom_operators(model)]
        problems += kind.interface(name, model, task)
        cache = attempt(lambda: kind.cache_bytes(root, model))
    if not problems:
        attempt(lambda: kind.check_runs(root, name, task))
    if problems:
        return _refused(problems)
    return {"model": name, "data": onnx_file.data_files(name, model), "shape": _shape(model, cache, context)}


def _refused(problems: list[Unusable]) -> dict[str, Any]:
    plain = [{"code": problem.code, "message": str(problem), "help": problem.help} for problem in problems]
    return {"problems": [{name: value for name, value in one.items() if value} for one in plain]}


def _shape(model: Any, cache: int, context: int) -> dict[str, int]:
    from compiler.artifact.graph import graphs

    return {
        "parameters": sum(graphs.elements(tensor) for tensor in graphs.tensors(model)),
        "weight_bytes": graphs.weight_bytes(model),
        "kv_bytes_per_token": cache,
        "context_length": context,
    }


def check_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise Unusable("UNSUPPORTED_MODEL", f"The folder has no `{path.name}`.")
    try:
        Tokenizer.from_file(str(path))
    except Exception:
        # The library raises plain `Exception`, for whatever it does not like in the file.
        raise Unusable("UNSUPPORTED_MODEL", f"`{path.name}` is no tokenizer of the `tokenizers` library.") from None
