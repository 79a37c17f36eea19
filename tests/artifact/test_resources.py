"""How much memory there is: what the kernel says, and the control groups around this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.artifact.making.resources import available_memory

_MIB = 2**20


def _machine(root: Path, group: str = "0::/a/b\n", **files: str) -> Path:
    """`files`: of the control groups, by path with `__` for `/` and `_` for `.`."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    8192 kB\n")
    (root / "proc" / "self" / "cgroup").write_text(group)
    for name, text in files.items():
        path = root / "sys" / "fs" / "cgroup" / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_what_the_kernel_calls_available(tmp_path: Path) -> None:
    assert available_memory(_machine(tmp_path, "4:memory:/elsewhere\n")) == 8 * _MIB


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"a__b__memory_max": "max\n", "a__b__memory_current": "5\n"}, 8 * _MIB),
        ({"a__b__memory_max": f"{4 * _MIB}\n", "a__b__memory_current": f"{_MIB}\n"}, 3 * _MIB),
        ({"a__memory_max": f"{4 * _MIB}", "a__memory_current": f"{3 * _MIB}"}, _MIB),
        ({"memory_max": f"{2 * _MIB}", "memory_current": "0"}, 2 * _MIB),
        ({"a__b__memory_max": "1", "a__b__memory_current": "9"}, 0),
        (
            {
                "a__b__memory_max": f"{4 * _MIB}",
                "a__b__memory_current": f"{3 * _MIB}",
                "a__b__memory_stat": f"anon 5\ninactive_file {2 * _MIB}\n",
            },
            3 * _MIB,
        ),
    ],
    ids=["no limit", "own limit", "limit around it", "limit of a container", "over the limit", "cached files"],
)
def test_control_groups_lower_it(tmp_path: Path, files: dict[str, str], wanted: int) -> None:
    assert available_memory(_machine(tmp_path, **files)) == wanted


def test_this_machine_has_some() -> None:
    assert available_memory() > _MIB
