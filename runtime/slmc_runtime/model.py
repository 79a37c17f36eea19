"""A run's model, loaded."""

from __future__ import annotations

from slmc_runtime import libraries
from slmc_runtime.config import TEXT_GENERATION, Run
from slmc_runtime.encoder import Encoder
from slmc_runtime.generation import TextGenerator
from slmc_runtime.refused import MODEL, Refused, reason


def load(run: Run) -> TextGenerator | Encoder:
    """Raises Refused, whatever the libraries raise."""
    try:
        return TextGenerator(run) if run.task == TEXT_GENERATION else Encoder(run)
    except Refused:
        raise
    except Exception as error:
        installed = ", ".join(f"{name} {version}" for name, version in libraries.versions().items())
        raise Refused(MODEL, f"the artifact {run.artifact} does not load on {installed}: {reason(error)}") from None
