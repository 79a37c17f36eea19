"""`python -m benchmarks.fleet`: see README.md beside this."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.fleet import extent, run, table

TMPFS = Path("/dev/shm")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description="slmc beside peers and floors.")
    parser.add_argument("--quick", action="store_true", help="1,000 devices, without kapitan, KCL and kustomize")
    parser.add_argument("--no-peers", action="store_true", help="slmc and floors alone, which takes no installation")
    parser.add_argument("--tiny", action="store_true", help="100 devices, without peers, once")
    parser.add_argument(
        "--work", type=Path, help="where to work and leave everything, best on a tmpfs; default: in /dev/shm"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table for the README there, too")
    chosen = parser.parse_args()
    size = extent.TINY if chosen.tiny else extent.QUICK if chosen.quick else extent.WHOLE
    if chosen.no_peers:
        size = replace(size, peers=False, slow_peers=False)
    with _folder(chosen.work) as work:
        results = run.run(size, work)
    if chosen.markdown:
        chosen.markdown.write_text(table.markdown(results))
    print(table.text(results), end="")


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    """The work folder: the one that was named, which stays, or a new one in memory."""
    if work:
        work.mkdir(parents=True, exist_ok=True)
        yield work.resolve()
    elif TMPFS.is_dir():
        with tempfile.TemporaryDirectory(prefix="slmc-fleet-", dir=TMPFS) as folder:
            yield Path(folder)
    else:
        sys.exit(f"There is no {TMPFS}: name a folder with --work, best on a tmpfs.")


if __name__ == "__main__":
    main()
