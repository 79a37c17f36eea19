"""Each filter against a real reader of its syntax."""

from __future__ import annotations

import hashlib
import json
import subprocess
from io import StringIO
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from compiler.bundle import quoting
from compiler.bundle.quoting import Refused
from tests.bundle.scenarios import NASTY

TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def yaml_1_1(text: str) -> Any:
    return pyyaml.safe_load(text)


def yaml_1_2(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(StringIO(text))


@pytest.mark.parametrize("read", [yaml_1_1, yaml_1_2])
@pytest.mark.parametrize("value", [value for _, value in NASTY])
def test_yaml_reads_back_nasty_text(read: Any, value: str) -> None:
    assert read(quoting.yaml(value)) == value
    assert "\n" not in quoting.yaml(value)


@given(VALUES)
def test_yaml_reads_back_any_value(value: object) -> None:
    assert yaml_1_1(quoting.yaml(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (8080, "8080"),
        (0.5, "0.5"),
        ("no", '"no"'),
        ("a\nb", '"a\\nb"'),
        (("a", 1), '["a", 1]'),
        ({"a": ["b"]}, '{"a": ["b"]}'),
        ("größe 😀", '"größe 😀"'),
        ("\x01\x85\u2028\U000e0001", '"\\x01\\x85\\u2028\\U000e0001"'),
    ],
)
def test_yaml_as_written(value: object, written: str) -> None:
    assert quoting.yaml(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain/word:1,a=b@c", "plain/word:1,a=b@c"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("100%", '"100%%"'),
        ("C:\\new", '"C:\\\\new"'),
        ("a\nb\tc\x01", '"a\\nb\\tc\\x01"'),
        ("$HOME", '"$HOME"'),
        (8080, "8080"),
    ],
)
def test_systemd_as_written(value: object, written: str) -> None:
    assert quoting.systemd(value) == written


def test_systemd_command_doubles_dollars_and_quotes_each_word() -> None:
    assert quoting.systemd_command(("/bin/a", "$HOME 5%", ";")) == '/bin/a "$$HOME 5%%" ";"'


@pytest.mark.parametrize("word", ["", ";"])
def test_quadlet_command_refuses_words_that_quadlet_loses(word: str) -> None:
    with pytest.raises(Refused, match=f"Quadlet cannot carry '{word}' as a word of a command"):
        quoting.quadlet_command(("a", word, "b"))
    assert quoting.quadlet_command(("$a", "b;", "100%")) == '"$$a" "b;" "100%%"'


@given(TEXT.filter(lambda text: "\0" not in text))
def test_shell_and_env_read_back(text: str) -> None:
    script = f"printf %s {quoting.shell(text)}; printf '\\036'; VALUE={quoting.env(text)}; printf %s \"$VALUE\""
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout == text.encode() + b"\x1e" + text.encode()


@pytest.mark.parametrize("text", ['a"b', "a\nb", "a\\b", "é" * 65])
def test_nft_refuses_what_it_cannot_carry(text: str) -> None:
    with pytest.raises(Refused):
        quoting.nft(text)


@given(VALUES)
def test_json_reads_back_any_value_also_within_json(value: object) -> None:
    written = quoting.json(value)
    assert "\n" not in written
    assert json.loads(written) == json.loads(json.loads(quoting.json(written))) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (("a", 1, 0.5), '["a", 1, 0.5]'),
        ({"b": True, "a": ["größe\n"]}, '{"b": true, "a": ["größe\\n"]}'),
    ],
)
def test_json_as_written(value: object, written: str) -> None:
    assert quoting.json(value) == written


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "JSON has no number that is infinite or none at all."),
        ([object()], "JSON has no value for A object."),
    ],
)
def test_what_json_has_no_words_for(value: object, message: str) -> None:
    with pytest.raises(Refused) as refused:
        quoting.json(value)
    assert str(refused.value) == message


def test_sha256_is_that_of_the_texts_utf_8() -> None:
    assert quoting.sha256("größe") == hashlib.sha256("größe".encode()).hexdigest()


def test_nft_as_written() -> None:
    assert quoting.nft("slmc chat, 8080") == '"slmc chat, 8080"'


@pytest.mark.parametrize("name", ["systemd", "env", "shell"])
def test_nul_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="cannot carry a NUL character"):
        quoting.FILTERS[name]("a\0b")


@pytest.mark.parametrize("name", ["comment", "env", "json", "nft", "sha256", "shell", "systemd", "yaml"])
def test_half_a_surrogate_pair_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"half a surrogate pair"):
        quoting.FILTERS[name]("\ud800")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "An absent value cannot be written as it stands; a filter such as `yaml` says how."),
        (True, "True cannot be written as it stands; a filter such as `yaml` says how."),
        (("a",), "A list cannot be written as it stands; a filter such as `yaml` says how."),
        ({}, "A mapping cannot be written as it stands; a filter such as `yaml` says how."),
    ],
)
def test_values_that_python_would_spell_its_own_way(value: object, message: str) -> None:
    with pytest.raises(Refused) as refused:
        quoting.written(value)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("chat", "chat"),
        ("search.v2", "search-v2-45ec3246"),
        ("search-v2", "search-v2"),
        ("a" * 63, "a" * 63),
        ("a" * 64, "a" * 54 + "-ffe054fe"),
        ("Chat", "chat-460b3a7d"),
        ("...", "ab5df625"),
    ],
)
def test_dns_label(value: str, label: str) -> None:
    assert quoting.dns_label(value) == label


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("search.v2", "search.v2"),
        ("builtin/raspberry-pi-5-8g", "builtin_raspberry-pi-5-8g"),
        ("a" * 64, "a" * 54 + "-ffe054fe"),
        ("größe", "gr__e-d353a267"),
    ],
)
def test_label_value(value: str, label: str) -> None:
    assert quoting.label_value(value) == label


def test_comment_stays_on_its_line() -> None:
    assert quoting.comment("a\nb\\\x85c é") == "a?b??c é"
