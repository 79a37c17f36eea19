"""Chats with a template: what the model reads is what the template writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.runtime import bundles
from tests.runtime.bundles import HELDOUT, PYDOC, Plan
from tests.runtime.serving import Served, serving

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' and loop.first %}"
    "{{ raise_exception('begins with the assistant') }}{% endif %}"
    "[{{ message['role'] }}] {{ message['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
MESSAGES = [{"role": "developer", "content": " Be brief. "}, {"role": "user", "content": 'Say "é"\\n'}]
WRITTEN = '<s>[system] Be brief.\n[user] Say "é"\\n\n[assistant]'


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("chat")
    model = Path(shutil.copytree(PYDOC, folder / "model"))
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": TEMPLATE}))
    with serving(bundles.write(folder / "bundle", Plan(model, HELDOUT))) as served:
        yield served


def test_the_model_reads_what_the_template_writes(chatting: Served) -> None:
    """The template has the beginning of the text already: it gets no second one."""
    tokenizer = Tokenizer.from_file(str(PYDOC / "tokenizer.json"))
    ids = tokenizer.encode(WRITTEN, add_special_tokens=False).ids
    assert ids[0] == 0
    assert ids[1] != 0
    chat = chatting.client.chat.completions.create(model="pydoc", messages=MESSAGES, max_tokens=16)  # type: ignore
    same = chatting.client.completions.create(model="pydoc", prompt=ids, max_tokens=16)
    assert chat.choices[0].message.content == same.choices[0].text
    assert chat.usage is not None
    assert chat.usage.prompt_tokens == len(ids)


def test_messages_that_the_template_refuses(chatting: Served) -> None:
    status, answer = chatting.post(
        "/v1/chat/completions", {"model": "pydoc", "messages": [{"role": "assistant", "content": "x"}]}
    )
    error = answer["error"]
    assert (status, error["code"], error["param"]) == (400, "invalid_messages", "messages")
