"""Weights of recordings: read from a CSV, in losses, and in what is chosen on the validation part."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.data.small_corpus import make, write_corpus
from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.dataset import make_dataset, read_weights
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.evaluation.metrics import summarize
from xecgnet_jax.evaluation.thresholds import best_f1, best_subset


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return make(write_corpus(folder / "corpus"), folder / "pack")


def test_recordings_that_are_not_listed_weigh_1(pack, tmp_path):
    (tmp_path / "w.csv").write_text("id,weight,why\nR2,2,missing ones\nR0,0.5,\n")
    assert read_weights(tmp_path / "w.csv", pack).tolist() == [0.5, 1, 2, 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id,w\nR0,1\n", "must name the columns id and weight"),
        ("id,weight\nR0,-1\n", "line 2: the recording R0 has the weight '-1'"),
        ("id,weight\nR0,inf\n", "line 2: the recording R0 has the weight 'inf'"),
        ("id,weight\nR0,\n", "line 2: the recording R0 has the weight ''"),
        ("id,weight\nR0,two\n", "cannot be read as a CSV of weights"),
        ("id,weight\nR0,1\nR0,1\n", "line 3: the recording R0 is there twice"),
        ("id,weight\nR9,1\n", "line 2: the recording R9 is not in the corpus"),
    ],
)
def test_what_is_wrong_is_named(pack, tmp_path, text, problem):
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_weights(tmp_path / "w.csv", pack)
    assert problem in str(caught.value) and "w.csv" in str(caught.value)


def test_a_missing_file_is_named(pack):
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read"):
        read_weights(Path("none.csv"), pack)


def test_runs_with_other_weights_are_on_other_data(pack, tmp_path):
    (tmp_path / "split.csv").write_text("id,part\nR0,train\nR3,train\nR1,validation\nR2,test\n")
    (tmp_path / "w.csv").write_text("id,weight\nR2,2\n")
    config = DataConfig(split="file", split_file=str(tmp_path / "split.csv"))
    plain = make_dataset(pack, config)
    weighted = make_dataset(pack, dataclasses.replace(config, sample_weights=str(tmp_path / "w.csv")))
    assert "weights" not in plain.description()
    assert weighted.description() == plain.description() | {"weights": weighted.description()["weights"]}


def test_a_weight_of_2_is_a_recording_twice():
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels, probabilities = rng.integers(0, 2, (60, 3)), rng.random((60, 3)).round(2)
        weights = rng.integers(1, 4, 60)
        repeated = np.repeat(np.arange(60), weights)
        assert summarize(labels, probabilities > 0.5, weights) == pytest.approx(
            summarize(labels[repeated], probabilities[repeated] > 0.5)
        )
        for choose in (best_f1, best_subset):
            one = choose(labels, probabilities, weights).values
            np.testing.assert_array_equal(one, choose(labels[repeated], probabilities[repeated]).values)
