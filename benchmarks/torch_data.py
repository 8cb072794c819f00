"""Crop windows for PyTorch: a Dataset over the same packed samples, and the loop that trains on it.

Imports no JAX: worker processes of the DataLoader import this module.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

#: What the DataLoader's number of worker processes is chosen from.
WORKERS: tuple[int, ...] = (0, 1, 2)


class Crops(Dataset):
    """A random window of each recording, [12, T] float32 normalized leads, and its labels.

    Args:
      samples: file of the pack's counts, [N, 12] int16; mapped where it is used, so that workers share its pages.
      begins, lengths: [R] of the training recordings.
      scale, shift: [R, 12] float32; normalized lead = count · scale + shift.
      labels: [R, C] float32.
      window: T; shorter recordings have zeros before them.
    """

    def __init__(
        self,
        samples: Path,
        begins: np.ndarray,
        lengths: np.ndarray,
        scale: np.ndarray,
        shift: np.ndarray,
        labels: np.ndarray,
        window: int,
    ) -> None:
        self._file, self._window = samples, window
        self._begins, self._lengths = begins.tolist(), lengths.tolist()
        self._scale, self._shift = scale[:, :, None], shift[:, :, None]
        self._labels = torch.from_numpy(labels)
        self._mapped: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        if self._mapped is None:
            self._mapped = np.load(self._file, mmap_mode="r")
        spare = self._lengths[at] - self._window
        start = int(torch.randint(spare + 1, ())) if spare > 0 else 0
        begin = self._begins[at] + start
        counts = self._mapped[begin : begin + min(self._window, self._lengths[at])]
        signal = np.zeros((12, self._window), np.float32)
        inside = signal[:, self._window - len(counts) :]
        np.multiply(counts.T, self._scale[at], out=inside)
        inside += self._shift[at]
        return torch.from_numpy(signal), self._labels[at]


def loader(crops: Crops, batch_size: int, workers: int) -> DataLoader:
    """Returns shuffled batches.

    Workers are spawned: a forked one would inherit JAX's threads, without their locks' owners.
    """
    return DataLoader(
        crops,
        batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_scale=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )


def train_epoch(step: Callable[[Tensor, Tensor], Tensor], batches: DataLoader) -> float:
    """Makes one pass over the data, and returns the mean loss, which is read once at the end."""
    total = torch.zeros(())
    for signal, labels in batches:
        total += step(signal, labels)
    return total.item() / len(batches)
