"""Parameters of requests, as OpenAI defines them: what is asked of the model, or an error that says what is wrong.

What would change the answer and is not supported is refused; what would not (`user`, `metadata`, `store`), and what
nobody knows, is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slmc_runtime.config import Run
from slmc_runtime.errors import ApiError

Body = Mapping[str, Any]

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "top_k": (),
    "min_p": (),
    "repetition_penalty": (1,),
}
"""Parameters that are not supported, with the values that ask for nothing; null is always one."""

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_STOPS, _INPUTS, _MESSAGES = 4, 2048, 4096
"""OpenAI's limits on stop strings and inputs; one of our own on messages."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`order` is for the model's process."""

    order: dict[str, Any]
    stream: bool = False
    usage: bool = False
    """Whether a stream ends with the count of tokens."""
    floats: bool = True
    """Whether vectors are lists of numbers, and not base64."""


def chat(body: Body, run: Run) -> Asked:
    """Raises ApiError, as all of these."""
    _check(body, run)
    most = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    return _generation(body, _messages(body), most)


def completion(body: Body, run: Run) -> Asked:
    _check(body, run)
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if not isinstance(prompt, str) and not _is_tokens(prompt):
        raise _invalid("prompt", "one text, or one list of tokens")
    return _generation(body, prompt, "max_tokens")


def embeddings(body: Body, run: Run) -> Asked:
    _check(body, run)
    if body.get("dimensions") is not None:
        raise ApiError(400, "`dimensions` is not supported.", "unsupported_parameter", "dimensions")
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise _invalid("encoding_format", "`float` or `base64`")
    return Asked({"kind": "embed", "inputs": _inputs(body)}, floats=form == "float")


def classification(body: Body, run: Run) -> Asked:
    _check(body, run)
    return Asked({"kind": "classify", "inputs": _inputs(body)})


def names(run: Run) -> tuple[str, ...]:
    """What a request may call the model: its id, its name without the version, the run's name."""
    return run.model, run.model.partition("@")[0], run.name


def _check(body: Body, run: Run) -> None:
    model = body.get("model")
    if not isinstance(model, str):
        raise _invalid("model", "the name of a model")
    if model not in names(run):
        raise ApiError(404, f"There is no such model here; this server has `{run.model}`.", "model_not_found", "model")
    for name, neutral in _NEUTRAL.items():
        value = body.get(name)
        if value is not None and value not in neutral:
            raise ApiError(400, f"`{name}` is not supported.", "unsupported_parameter", name)


def _generation(body: Body, prompt: Any, most: str) -> Asked:
    stream = _flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not (stream and isinstance(options, dict)):
        raise _invalid("stream_options", "an object, where `stream` is true")
    order = {
        "kind": "generate",
        "prompt": prompt,
        "most": _whole(body, most, 1, 2**31 - 1),
        "stops": _stops(body),
        "temperature": _number(body, "temperature", 0, 2),
        "topP": _number(body, "top_p", 0, 1),
        "seed": _seed(body),
    }
    return Asked(order, stream, _flag(options or {}, "include_usage"))


def _messages(body: Body) -> list[dict[str, str]]:
    found = body.get("messages")
    if not isinstance(found, list) or not 1 <= len(found) <= _MESSAGES:
        raise _invalid("messages", f"a list of 1 to {_MESSAGES} messages")
    return [_message(entry, f"messages[{number}]") for number, entry in enumerate(found)]


def _message(entry: Any, place: str) -> dict[str, str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str) or entry["role"] not in _ROLES:
        raise _invalid(f"{place}.role", f"one of {', '.join(_ROLES)}")
    content = entry.get("content")
    if isinstance(content, list):
        if not all(isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str) for p in content):
            raise _invalid(f"{place}.content", "text, or a list of parts of the type `text`")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise _invalid(f"{place}.content", "text, or a list of parts of the type `text`")
    return {"role": _ROLES[entry["role"]], "content": content}


def _inputs(body: Body) -> list[str | list[int]]:
    found = body.get("input")
    listed: Any = [found] if isinstance(found, str) or _is_tokens(found) else found
    fits = isinstance(listed, list) and 1 <= len(listed) <= _INPUTS
    if not fits or not all(isinstance(entry, str) or _is_tokens(entry) for entry in listed):
        raise _invalid("input", f"a text, a list of tokens, or a list of 1 to {_INPUTS} of these")
    return list(listed)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(v) is int and 0 <= v < 2**31 for v in value)


def _stops(body: Body) -> list[str]:
    found = body.get("stop")
    listed = [] if found is None else [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or len(listed) > _STOPS or not all(isinstance(s, str) and s for s in listed):
        raise _invalid("stop", f"a text, or a list of at most {_STOPS}")
    return listed


def _seed(body: Body) -> int | None:
    found = _whole(body, "seed", -(2**63), 2**63 - 1)
    return None if found is None else found % 2**31


def _whole(body: Body, name: str, least: int, most: int) -> int | None:
    found = body.get(name)
    if found is not None and (type(found) is not int or not least <= found <= most):
        raise _invalid(name, f"a whole number from {least} on")
    return found


def _number(body: Body, name: str, least: float, most: float) -> float | None:
    found = body.get(name)
    if found is not None and (type(found) not in (int, float) or not least <= found <= most):
        raise _invalid(name, f"a number from {least} to {most}")
    return found


def _flag(body: Body, name: str) -> bool:
    found = body.get(name)
    if found is not None and not isinstance(found, bool):
        raise _invalid(name, "true or false")
    return bool(found)


def _invalid(name: str, wanted: str) -> ApiError:
    return ApiError(400, f"`{name}` has to be {wanted}.", "invalid_value", name)
