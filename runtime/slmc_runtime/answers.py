"""Answers in OpenAI's shapes; of classification, which OpenAI has not, in vLLM's (`/classify`)."""

from __future__ import annotations

import base64
import json
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slmc_runtime.parameters import Asked

Done = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """A generated text, whole or in chunks. `object` and `prefix` are the names of the kind."""

    object: str
    prefix: str
    model: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, done: Done) -> dict[str, Any]:
        return {**self._head(self.object), "choices": [self._choice(text, done["finish"])], "usage": usage(done)}

    def chunk(self, text: str | None, finish: str | None = None, *, first: bool = False) -> dict[str, Any]:
        """A piece; the first of a chat says who speaks, the last why it ends."""
        if not self._chat:
            return {**self._head(self.object), "choices": [self._choice(text or "", finish)]}
        delta: dict[str, Any] = {"role": "assistant", "content": text or ""} if first else {}
        if text and not first:
            delta = {"content": text}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head(f"{self.object}.chunk"), "choices": [choice]}

    def count(self, done: Done) -> dict[str, Any]:
        """The chunk after the last, with nothing but the count of tokens."""
        kind = f"{self.object}.chunk" if self._chat else self.object
        return {**self._head(kind), "choices": [], "usage": usage(done)}

    @property
    def _chat(self) -> bool:
        return self.object == "chat.completion"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"{self.prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}

    def _choice(self, text: str, finish: str | None) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if self._chat else {"text": text}
        return {"index": 0, **said, "logprobs": None, "finish_reason": finish}


def chat_text(model: str) -> Text:
    return Text("chat.completion", "chatcmpl", model)


def completion_text(model: str) -> Text:
    return Text("text_completion", "cmpl", model)


def embeddings(model: str, asked: Asked, done: Done) -> dict[str, Any]:
    vectors = [_floats(vector) if asked.floats else vector for vector in done["vectors"]]
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": model, "usage": usage(done, generated=False)}


def classification(model: str, asked: Asked, done: Done) -> dict[str, Any]:
    data = [{"index": n, **found, "num_classes": len(found["probs"])} for n, found in enumerate(done["labels"])]
    head = {"id": f"classify-{uuid.uuid4().hex}", "object": "list", "created": int(time.time()), "model": model}
    return {**head, "data": data, "usage": usage(done)}


def models(model: str) -> dict[str, Any]:
    return {"object": "list", "data": [one_model(model)]}


def one_model(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "slmc"}


def usage(done: Done, *, generated: bool = True) -> dict[str, int]:
    prompt, completion = done["promptTokens"], done.get("completionTokens", 0)
    found = {"prompt_tokens": prompt, "total_tokens": prompt + completion}
    return found | {"completion_tokens": completion} if generated else found


def event(value: Mapping[str, Any] | str) -> bytes:
    """One server-sent event."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def _floats(vector: str) -> list[float]:
    data = base64.b64decode(vector)
    return list(struct.unpack(f"<{len(data) // 4}f", data))
