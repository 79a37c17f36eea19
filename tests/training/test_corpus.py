"""The split of the text, on the reference of the CPython that runs the tests and on small pages."""

from collections import Counter
from pathlib import Path

import pytest

from training.corpus import Corpus, identity, paragraphs, read, sections, split, write_held_out


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return read()


def _identities(texts: tuple[str, ...]) -> set[str]:
    return {identity(paragraph) for text in texts for paragraph in paragraphs(text)}


def test_no_paragraph_is_in_two_parts(corpus: Corpus) -> None:
    parts = [_identities(part) for part in (corpus.train, corpus.development, corpus.held_out)]
    assert all(parts)
    assert Counter(one for part in parts for one in part).most_common(1)[0][1] == 1


def test_parts_have_their_shares(corpus: Corpus) -> None:
    train, development, held_out = (sum(map(len, part)) for part in (corpus.train, corpus.development, corpus.held_out))
    total = train + development + held_out
    assert 0.1 <= held_out / total < 0.13
    assert 0.05 <= development / total < 0.08


def test_the_split_does_not_depend_on_the_order_of_pages() -> None:
    parts = [f"Section {number}.\n" for number in range(200)]
    one, other = split(parts), split(parts[::-1])
    assert set(one.held_out) == set(other.held_out)
    assert set(one.development) == set(other.development)
    assert one.train == other.train[::-1]


def test_a_repeated_paragraph_stays_where_it_was_met_first() -> None:
    pages = ["Names\n*****\n\nA name is\nbound.\n\nIt stays.\n", "Scopes\n******\n\n   A name is bound.\n\nIt goes.\n"]
    assert sections(pages) == ["Names\n*****\n\nA name is\nbound.\n\nIt stays.\n", "Scopes\n******\n\nIt goes.\n"]


def test_a_section_begins_at_a_heading_and_after_enough_text() -> None:
    page = f"Long\n****\n\n{'a' * 4000}\n\nnext\n\nInner\n=====\n\n   indented\n      more\n"
    assert sections([page]) == [
        f"Long\n****\n\n{'a' * 4000}\n",
        "next\n",
        "Inner\n=====\n\n   indented\n      more\n",
    ]


def test_held_out_text_is_written_as_json_lines(tmp_path: Path) -> None:
    write_held_out(['The "with" statement\n', "π\n"], tmp_path / "data" / "heldout.jsonl")
    written = (tmp_path / "data" / "heldout.jsonl").read_bytes()
    assert written == '{"text": "The \\"with\\" statement\\n"}\n{"text": "π\\n"}\n'.encode()
