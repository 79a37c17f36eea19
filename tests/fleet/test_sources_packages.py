"""Sources of the scheme `pypi://`: how they are spelt, where they are, what is said when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.base.codes import Code
from compiler.fleet.packages import Package, source_folder
from compiler.fleet.paths import fault, normal, source_fault
from tests.values import PLACE


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("pypi://a/1/b", Package("a", "1", "b")),
        ("pypi://Some_Model.x/1.0.dev3+local/pkg/model", Package("some-model-x", "1.0.dev3+local", "pkg/model")),
        ("PYPI://a/1!2.0/b//c/./d/", Package("a", "1!2.0", "b/c/d")),
        ("pypi://a/1/b/../c", Package("a", "1", "c")),
        ("pypi://a/1/../../etc", None),
        ("pypi://a/1/b/../../../etc", None),
        ("pypi://a/1//etc", None),
        ("pypi://a/1/.", None),
        ("pypi://a/1/", None),
        ("pypi://a/1", None),
        ("pypi://a", None),
        ("pypi://", None),
        ("pypi://../1/b", None),
        ("pypi://-r/1/b", None),
        ("pypi://a/../b", None),
        ("pypi://a/-1/b", None),
        ("pypi://a b/1/c", None),
        ("pypi://a[x]/1/c", None),
        ("pypi://a/1\n/c", None),
    ],
)
def test_spelling(tmp_path: Path, source: str, package: Package | None) -> None:
    assert Package.of(source) == package
    found = source_fault(tmp_path, source, PLACE)
    assert (found.code if found else None) is (None if package else Code.BAD_VALUE)


def test_one_package_has_one_spelling() -> None:
    assert normal("PyPI://Some_Model/1.0/./a//b/") == "pypi://some-model/1.0/a/b"


def test_a_package_is_no_path(tmp_path: Path) -> None:
    found = fault(tmp_path, "pypi://a/1/b", PLACE)
    assert found
    assert found.code is Code.BAD_VALUE


def test_where_a_source_is(tmp_path: Path) -> None:
    workspace, store = tmp_path / "workspace", tmp_path / "store"
    assert source_folder(workspace, store, "models/a") == workspace / "models/a"
    assert source_folder(workspace, store, "pypi://a/1/b/c") == store / "sources/pypi/a-1/b/c"


def test_two_packages_have_two_folders() -> None:
    spelt = [("a-1", "2"), ("a", "1-2"), ("a", "1_2"), ("a", "1.2"), ("a-1-2", "3"), ("a-1", "2-3"), ("a", "1-2-3")]
    folders = [Package(name, version, "m").unpacked(Path("store")) for name, version in spelt]
    assert sorted(set(folders)) == sorted(folders)
    assert {folder.parent for folder in folders} == {Path("store/sources/pypi")}
