"""`python -m benchmarks.recipes decoder`: see README.md beside this."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.recipes import large, table


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipes", description="Recipe steps beside their peers."
    )
    parser.add_argument("part", choices=["decoder"], help="a decoder of 1.1 billion parameters to 4 and 8 bits")
    parser.add_argument("--quick", action="store_true", help="a tenth of it, for work on the benchmark itself")
    parser.add_argument("--no-peers", action="store_true", help="slmc alone")
    parser.add_argument("--olive", type=Path, metavar="PYTHON", help="of an environment that has olive-ai")
    parser.add_argument("--work", type=Path, help="where to work, with 12 GB free; emptied at the end")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slmc-recipes-", dir=chosen.work) as work:
        extent = large.Extent(quick=chosen.quick, peers=not chosen.no_peers, olive=chosen.olive)
        found = large.run(extent, Path(work))
    text = table.markdown(found)
    if chosen.markdown:
        chosen.markdown.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
