"""What slmc itself writes into a bundle, as templates see it, and what a file may have at most."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.bundle.scenarios import OWN_RUNTIME, PLAIN
from tests.bundle.test_own_targets import ONE_FILE, compiled, using, write


def test_a_template_sees_the_files_of_slmc(tmp_path: Path) -> None:
    template = "{% for name in files %}\n{{ files[name] | sha256 }}  {{ name }}\n{% endfor %}\n"
    write(tmp_path, "note", {"target.yaml": ONE_FILE, "note.j2": template})
    for fleet, own in ((PLAIN, ()), (OWN_RUNTIME, ("serve.json",))):
        (bundle,) = compiled(tmp_path, using("note", fleet))[0].bundles
        names = ("artifacts.json", "golden.json", *own)
        expected = [f"{hashlib.sha256(bundle.files[name]).hexdigest()}  {name}" for name in names]
        assert bundle.files["note.txt"].decode().splitlines() == expected


@pytest.mark.parametrize(("most", "found"), [(9, []), (8, ["file-too-large"])])
def test_a_file_has_at_most_the_bytes_that_its_target_says(most: int, found: list[str], tmp_path: Path) -> None:
    """Bytes, not characters, of which there are seven."""
    limited = ONE_FILE.replace("note.j2", f"note.j2, maxBytes: {most}B")
    write(tmp_path, "note", {"target.yaml": limited, "note.j2": "größe.\n"})
    assert [diagnostic.code.slug for diagnostic in compiled(tmp_path, using("note"))[1]] == found
