"""The documentation's code blocks run, in order, in an empty folder with `slmc` on PATH.

A line `<!-- file: PATH -->` before a block writes that block to PATH. ```console blocks hold `$ ` commands with
what they print (`...` stands for anything); ```text blocks are shown only.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_explain import run_shell

ROOT = Path(__file__).parent.parent
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "explain")
assert PAGES
_BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n+)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def matches(expected: str, said: str) -> bool:
    pattern = ".*?".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT / "docs")))
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a newcomer: the store is empty."""
    monkeypatch.setenv("SLMC_STORE", str(tmp_path / "the store"))
    for file, kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif kind == "sh":
            said = run_shell(f"{text}\necho all-done", tmp_path)
            assert said.rstrip().endswith("all-done") or "all-done\n" in said, f"{text}\n{said}"
        elif kind == "console":
            for command, expected in _COMMAND.findall(text):
                said = run_shell(command, tmp_path)
                assert matches(expected.strip(), said.strip()), f"$ {command}\n{said}"
        else:
            assert kind in ("yaml", "text", "json", "jinja"), (
                f"{page}: a block of kind `{kind}` is neither run nor written"
            )
