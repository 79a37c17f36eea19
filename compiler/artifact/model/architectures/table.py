"""Which module knows which architecture, by the `model_type` of `config.json`."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.artifact.model.architectures import bert
from compiler.artifact.model.architectures.architecture import Architecture

ARCHITECTURES: Mapping[str, Architecture] = {"bert": bert}
