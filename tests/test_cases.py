"""Golden cases: one file in `cases/` is one test. `pytest tests/test_cases.py --update` rewrites what they expect."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from compiler.cli.main import run
from tests.archive import Archive

CASES = sorted(Path(__file__).parent.glob("cases/**/*.case"))
assert CASES


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], update: bool
) -> None:
    archive = Archive.parse(path.read_text(encoding="utf-8"))
    assert archive.prose.strip(), "say what the case shows"
    archive.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    output = ""
    for line in archive.get("command", "validate").splitlines():
        code = run(shlex.split(line))
        said = capsys.readouterr()
        output += f"{said.out}{said.err}exit {code}\n"
    if update:
        path.write_text(archive.with_expected(output), encoding="utf-8")
    else:
        assert output == archive.get("expected")
