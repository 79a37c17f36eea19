"""Messages as one prompt: by the artifact's chat template, or one after the other where it has none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slmc_runtime.errors import ApiError

Messages = Sequence[Mapping[str, str]]

_CONFIG, _FILE = "tokenizer_config.json", "chat_template.jinja"


class Chat:
    """Chat templates are Jinja; onnxruntime-genai renders them. Its tokenizer is loaded for that alone."""

    def __init__(self, folder: Path, genai: Any, model: Any) -> None:
        self._template = template(folder)
        self._tokenizer = genai.Tokenizer(model) if self._template else None

    @property
    def templated(self) -> bool:
        """Then the prompt has its special tokens already, and gets no others."""
        return self._tokenizer is not None

    def prompt(self, messages: Messages) -> str:
        """Raises ApiError for messages that the template does not take."""
        if self._tokenizer is None:
            return "\n".join(message["content"] for message in messages)
        try:
            text: str = self._tokenizer.apply_chat_template(
                json.dumps(messages, ensure_ascii=False), template_str=self._template, add_generation_prompt=True
            )
        except RuntimeError:
            raise ApiError(
                400, "The model's chat template does not take these messages.", "invalid_messages", "messages"
            ) from None
        return text


def template(folder: Path) -> str | None:
    """The chat template in a model's folder, as Hugging Face's libraries write it: a file, a text, or a list of named
    ones with a `default`."""
    if (folder / _FILE).is_file():
        return (folder / _FILE).read_text(encoding="utf-8")
    try:
        found = json.loads((folder / _CONFIG).read_bytes()).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return None
    if isinstance(found, list):
        found = next((e.get("template") for e in found if isinstance(e, dict) and e.get("name") == "default"), None)
    return found if isinstance(found, str) and found else None
