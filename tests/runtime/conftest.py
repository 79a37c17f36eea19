"""Servers that many tests share, because none of them disturbs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime import bundles
from tests.runtime.bundles import HELDOUT, PYDOC, Plan
from tests.runtime.encoders import encoder_plan
from tests.runtime.serving import Served, serving


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a real text generator."""
    return bundles.write(tmp_path_factory.mktemp("generator") / "bundle", Plan(PYDOC, HELDOUT))


@pytest.fixture(scope="session")
def generating(generator: Path) -> Iterator[Served]:
    with serving(generator) as served:
        yield served


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a tiny BERT, as the compiler exports it."""
    folder = tmp_path_factory.mktemp("embedder")
    return bundles.write(folder / "bundle", encoder_plan(folder, "embeddings"))


@pytest.fixture(scope="session")
def embedding(embedder: Path) -> Iterator[Served]:
    with serving(embedder) as served:
        yield served


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    return bundles.write(folder / "bundle", encoder_plan(folder, "text-classification"))


@pytest.fixture(scope="session")
def classifying(classifier: Path) -> Iterator[Served]:
    with serving(classifier) as served:
        yield served
