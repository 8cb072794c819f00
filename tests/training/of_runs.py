"""What tests of training look at: all arrays of a run, its metrics, the command that makes it."""

import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from tests.learnable_corpus import WORDS
from xecgnet_jax.training.workdir import read_metrics


def arrays(workdir: Path) -> dict[str, np.ndarray]:
    """Every array of every checkpoint."""
    found = {}
    with ocp.StandardCheckpointer() as reader:
        for folder in sorted((workdir / "checkpoints").resolve().glob("[0-9]*/[mt]*/")):
            if folder.name in ("model", "train"):
                for path, leaf in jax.tree_util.tree_leaves_with_path(reader.restore(folder)):
                    found[f"{folder.parent.name}/{folder.name}{jax.tree_util.keystr(path)}"] = np.asarray(leaf)
    return found


def lines(workdir: Path) -> list[dict]:
    """metrics.jsonl without its clocks."""
    return [{k: v for k, v in record.items() if "seconds" not in k} for record in read_metrics(workdir)]


def assert_same_bits(one: Path, other: Path) -> None:
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys() and len(left) > 300
    for name, value in left.items():
        assert value.dtype == right[name].dtype and value.tobytes() == right[name].tobytes(), name
    assert lines(one) == lines(other)


def command(corpus: Path, workdir: Path, *more: str) -> list[str]:
    cache = str(corpus.parent / "cache")
    train = [sys.executable, "-m", "xecgnet_jax", "train"]
    return [*train, *WORDS, "--data", str(corpus), "--workdir", str(workdir), "--cache", cache, *more]
