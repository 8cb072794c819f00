"""A corpus, what is compiled for it and a run on it, made once for all tests of a process; see `conftest.py`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import jax
import pytest
from filelock import FileLock

from tests import learnable_corpus
from xecgnet_jax.data.dataset import Dataset, make_dataset
from xecgnet_jax.data.pack import Pack, pack_of
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.loop import fit


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Makes a folder once for all processes that run these tests."""
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A corpus of 36 recordings in three folds; its parent is for what is made of it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    (shared / "learnable").mkdir(exist_ok=True)
    return once(shared / "learnable" / "corpus", lambda folder: learnable_corpus.write(folder, recordings=36))


@pytest.fixture(scope="session")
def dataset(corpus) -> Dataset:
    def pack(folder: Path) -> Pack:
        return pack_of(corpus, folder, workers=1, progress=False)

    return make_dataset(pack(once(corpus.parent / "pack", pack)), learnable_corpus.CONFIG.data)


@pytest.fixture(scope="session")
def engine(dataset) -> Engine:
    """What is compiled for `learnable_corpus.CONFIG` and configs that differ in seed and γ: once for many tests."""
    return Engine(learnable_corpus.CONFIG, dataset, jax.local_devices()[:1])


@pytest.fixture(scope="session")
def finished(dataset, engine, corpus) -> Path:
    """A run that nothing interrupted; not to be changed."""
    return once(
        corpus.parent / "finished",
        lambda folder: fit(learnable_corpus.CONFIG, dataset, folder, progress=False, engine=engine),
    )
