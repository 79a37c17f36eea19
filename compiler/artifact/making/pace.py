"""How a build is done. Nothing of it shapes what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """`jobs` is the most processes at a time, 0 for as many as processors.

    `watch` hears how far something is: its line of the progress, and the share done, which is 1 when it has ended in
    any way. It is called from several threads.
    """

    jobs: int = 0
    watch: Callable[[str, float], None] = lambda line, share: None
