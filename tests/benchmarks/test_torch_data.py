"""PyTorch's loop gets the windows that ours gets."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.random_pack import random_dataset
from xecgnet_jax.data.batches import recording_table

pytest.importorskip("torch", reason="PyTorch is not installed")

from benchmarks.torch_data import Crops, loader, train_epoch


@pytest.fixture(scope="module")
def dataset():
    return random_dataset(np.array([300, 500, 900, 500]), seed=4)


def crops(dataset, folder, window: int) -> Crops:
    np.save(folder / "samples.npy", dataset.pack.samples)
    table, begins = recording_table(dataset), dataset.pack.offsets[dataset.train]
    return Crops(folder / "samples.npy", begins, table.lengths, table.scale, table.shift, table.labels, window)


def normalized(dataset, row: int) -> np.ndarray:
    return (dataset.pack.signal(row) - dataset.normalization.mean) / dataset.normalization.std


def test_short_recordings_have_zeros_before_them(dataset, tmp_path):
    dataset = crops(dataset, tmp_path, 500)
    for row, zeros in ((0, 200), (1, 0), (3, 0)):
        signal, labels = dataset[row]
        assert signal.shape == (12, 500) and not signal[:, :zeros].any()
        np.testing.assert_allclose(signal[:, zeros:].numpy().T, normalized(dataset, row), atol=1e-5)
        np.testing.assert_array_equal(labels, dataset.pack.labels[row])


def test_long_ones_are_cut_at_random_starts(dataset, tmp_path):
    dataset, whole = crops(dataset, tmp_path, 500), normalized(dataset, 2)
    starts = set()
    for _ in range(20):
        signal = dataset[2][0].numpy().T
        found = [start for start in range(401) if np.allclose(signal, whole[start : start + 500], atol=1e-5)]
        assert len(found) == 1
        starts |= set(found)
    assert len(starts) > 10


def test_an_epoch_takes_each_recording_once(dataset, tmp_path):
    seen = []

    def step(signal, labels):
        seen.append(signal.abs().sum(dim=(1, 2)))
        return labels.new_tensor(len(seen))

    assert train_epoch(step, loader(crops(dataset, tmp_path, 500), 2, workers=0)) == 1.5
    assert sum(len(one) for one in seen) == 4
