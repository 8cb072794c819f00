"""A corpus, what is compiled for it and a run on it, made once for all tests of a process; see `conftest.py`."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from tests import learnable_corpus
from xecgnet_jax.data.dataset import Dataset, make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.loop import fit


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A corpus of 36 recordings in three folds; its parent is for what is made of it."""
    return learnable_corpus.write(tmp_path_factory.mktemp("learnable") / "corpus", recordings=36)


@pytest.fixture(scope="session")
def dataset(corpus) -> Dataset:
    pack = pack_of(corpus, corpus.parent / "pack", workers=1, progress=False)
    return make_dataset(pack, learnable_corpus.CONFIG.data)


@pytest.fixture(scope="session")
def engine(dataset) -> Engine:
    """What is compiled for `learnable_corpus.CONFIG` and configs that differ in seed and γ: once for many tests."""
    return Engine(learnable_corpus.CONFIG, dataset, jax.local_devices()[:1])


@pytest.fixture(scope="session")
def finished(dataset, engine, corpus) -> Path:
    """A run that nothing interrupted; not to be changed."""
    fit(learnable_corpus.CONFIG, dataset, corpus.parent / "finished", progress=False, engine=engine)
    return corpus.parent / "finished"
