"""What is said of a store of which something turned out to be damaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compiler.artifact.store import layout
from compiler.artifact.store.blobs import Corrupt
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic


def corrupt_blob(entry: Mapping[str, Any], corrupt: Corrupt) -> Diagnostic:
    """Of the entry of the index that needs the blob, and what is done about it."""
    name = entry["annotations"].get(layout.NAME, "?")
    if entry["artifactType"] == layout.ARTIFACT:
        what, then = f"artifact `{name}`", "It is built anew."
    elif entry["artifactType"] == layout.INTERMEDIATE:
        what, then = f"`{name}`", "It is made anew."
    elif entry["artifactType"] == layout.REPORT:
        what, then = f"the report on `{name}`", "It is gone until the artifact is built anew."
    else:
        what, then = f"the figures of `{name}`", "They are measured anew."
    return Diagnostic(
        Code.CORRUPT_BLOB,
        f"Blob `{corrupt.digest}` of {what} {corrupt.why}. {then}",
        help="If this happens again, check the disk that holds the store.",
    )


def corrupt_index(kept: int) -> Diagnostic:
    """Of an index of which `kept` entries can be read."""
    return Diagnostic(
        Code.CORRUPT_BLOB,
        f"`{layout.INDEX_FILE}` of the store is damaged: {kept} of its entries can be read. "
        "What is missing is built anew when it is needed.",
        help="`slmc cache verify`, or a compile, writes it anew with those. If this happens again, check the disk.",
    )
