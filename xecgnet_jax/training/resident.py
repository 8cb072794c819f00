"""The training part on the device: nothing but a number of steps goes there, nothing but losses comes back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xecgnet_jax.data.batches import Plan
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.windows import plans
from xecgnet_jax.training.losses import Losses
from xecgnet_jax.training.programs import Members, Programs, Resident, States

#: How much of a device's memory the recordings may fill; the rest is for the network.
SHARE = 0.4
#: Likewise of a computer's memory, where it is the device: other programs and the network share it.
SHARE_OF_COMPUTER = 0.25
_CGROUP = Path("/sys/fs/cgroup/memory.max")


class ResidentData:
    """Feeds programs with the recordings that live on the device.

    Attributes:
      waited: seconds that the device waited for data: none.
    """

    waited = 0.0

    def __init__(self, programs: Programs, dataset: Dataset) -> None:
        self._programs = programs
        self._source = programs.everywhere(samples_of(dataset, programs.samples))
        self._planned: tuple[Any, Plan] | None = None

    def advance(
        self, program: Any, states: States, losses: Losses, who: Members, step: int, count: int
    ) -> tuple[States, Losses]:
        """`count` steps from `step` on, all in one epoch; gives back what may still be under way."""
        arguments = (who, self._plans(who.seed, step // self._programs.per_epoch), self._programs.table, self._source)
        for _ in range(1 if self._programs.batched else count):
            states, losses = program(states, losses, *arguments, np.int32(count))
        return states, losses

    def close(self) -> None:
        """Lets the recordings go."""
        del self._source

    def _plans(self, seeds: np.ndarray, epoch: int) -> Plan:
        wanted = (seeds.tolist(), epoch)
        if self._planned is None or self._planned[0] != wanted:
            programs = self._programs
            made = plans(programs.config, programs.table.lengths, programs.samples, programs.everywhere(seeds), epoch)
            self._planned = wanted, programs.spread(made, len(seeds))
        return self._planned[1]


def samples_of(dataset: Dataset, margin: int) -> Resident:
    """The training part's samples one after another, with `margin` rows of zeros at both ends, as NumPy arrays."""
    lengths = dataset.pack.lengths[dataset.train]
    begins = margin + np.cumsum(lengths) - lengths
    samples = np.zeros((_rows(dataset, margin), dataset.pack.samples.shape[1]), np.int16)
    for row, begin, length in zip(dataset.train.tolist(), begins.tolist(), lengths.tolist(), strict=True):
        at = dataset.pack.offsets[row]
        samples[begin : begin + length] = dataset.pack.samples[at : at + length]
    return Resident(samples, begins.astype(np.int32))


def fits(dataset: Dataset, margin: int, device: jax.Device) -> bool:
    """Whether the training part fits in a device's memory beside the network."""
    rows = _rows(dataset, margin)
    size = rows * dataset.pack.samples.shape[1] * dataset.pack.samples.itemsize
    return rows < 2**31 and size <= room(device)


def room(device: jax.Device) -> int:
    """Bytes of a device's memory that recordings may fill."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(SHARE * stats["bytes_limit"])
    return int(SHARE_OF_COMPUTER * _memory())


def _memory() -> int:
    """Bytes of memory of this computer, or of the container that this process runs in."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP.read_text().strip() if _CGROUP.exists() else "max"
    return min(physical, int(limit)) if limit.isdigit() else physical


def _rows(dataset: Dataset, margin: int) -> int:
    return int(dataset.pack.lengths[dataset.train].sum()) + 2 * margin
