"""A Hugging Face folder as an encoder's folder: the graph that an architecture of ours builds, and what goes with it.

Runs in a process of its own; `exports` keeps what comes out.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from compiler.artifact.configuration import DEFAULT_GRAPH, Unusable
from compiler.artifact.model.architectures.table import ARCHITECTURES
from compiler.artifact.model.checkpoint import Checkpoint

_CARRIED = (
    "config.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_LICENCES = ("licence", "license", "notice", "copying")


def export(folder: str, task: str, target: str) -> dict[str, Any]:
    """Fill the empty folder `target` with the graph, tokenizer, configuration and licences of the model in `folder`.

    `inspect` found nothing wrong with it. Gives `{}` or `{"problems": [{"code", "message"}]}`.
    """
    checkpoint = Checkpoint(Path(folder))
    architecture = ARCHITECTURES[str(checkpoint.config["model_type"])]
    try:
        architecture.export(checkpoint, task, Path(target) / DEFAULT_GRAPH)
    except Unusable as error:
        return {"problems": [{"code": error.code, "message": str(error)}]}
    for path in sorted(checkpoint.folder.iterdir()):
        if (path.name in _CARRIED or path.name.lower().startswith(_LICENCES)) and path.is_file():
            shutil.copyfile(path, Path(target) / path.name)
    return {}
