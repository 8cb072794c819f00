"""What feeds the steps of a run: the training part on the device, or batches streamed from the memory map.

The batches are the same. A feed knows nothing of states: it gives the inputs of steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jaxtyping import Int16, Integer

from xecgnet_jax.data.batches import ResidentSamples, gather_counts
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.windows import Plan, epoch_plan
from xecgnet_jax.model.layers import Array
from xecgnet_jax.training.engine import Engine, Inputs
from xecgnet_jax.training.hosts import gather

#: Where the training part's samples are while training: `auto` asks whether they fit in the device's memory.
DataOn = Literal["auto", "device", "host"]
#: How much of a device's memory the recordings may fill; the rest is for the network.
SHARE = 0.4
#: Likewise of a computer's memory, where it is the device: other programs and the network share it.
SHARE_OF_COMPUTER = 0.25
#: Batches that are made ahead of the step that takes them.
AHEAD = 3
_CGROUP = Path("/sys/fs/cgroup/memory.max")


class Feed:
    """The inputs of a run's steps, from recordings that live on the devices.

    Attributes:
      waited: seconds that steps waited for their batches.
    """

    waited = 0.0

    def __init__(self, engine: Engine, dataset: Dataset) -> None:
        self._engine = engine
        self._source = engine.place(lay_out(dataset, engine.samples))

    def rest_of_epoch(self, seed: int, step: int) -> Iterator[Inputs]:
        """Yields the inputs of the steps from `step` to the end of its epoch."""
        engine = self._engine
        inputs = Inputs(plan_epoch(engine, seed, step // engine.per_epoch), engine.table, self._source)
        for _ in range(step % engine.per_epoch, engine.per_epoch):
            yield inputs

    def close(self) -> None:
        """Lets the recordings go."""
        del self._source


class StreamedFeed:
    """The same from batches that a thread gathers from the memory map."""

    def __init__(self, engine: Engine, dataset: Dataset) -> None:
        self.waited = 0.0
        self._engine, self._samples = engine, dataset.pack.samples
        self._begins = dataset.pack.offsets[dataset.train]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def rest_of_epoch(self, seed: int, step: int) -> Iterator[Inputs]:
        """Yields the inputs of the steps from `step` to the end of its epoch."""
        engine = self._engine
        epoch, first = divmod(step, engine.per_epoch)
        plans = plan_epoch(engine, seed, epoch)
        on_host = Plan(*jax.device_get(tuple(plans)))
        ahead: deque[Future[Array]] = deque()
        for within in range(first, engine.per_epoch + AHEAD):
            if within < engine.per_epoch:
                ahead.append(self._thread.submit(self._gather, Plan(*(value[within] for value in on_host))))
            if within >= first + AHEAD:
                since = time.monotonic()
                counts = ahead.popleft().result()
                self.waited += time.monotonic() - since
                yield Inputs(plans, engine.table, counts)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _gather(self, plan: Plan) -> Int16[Array, "B T 12"]:
        def gather(rows: slice) -> Int16[np.ndarray, "b T 12"]:
            part = Plan(*(value[rows] for value in plan))
            return gather_counts(self._samples, self._begins, part, self._engine.samples)

        return self._engine.place_counts(gather)


def make_feed(engine: Engine, dataset: Dataset, data_on: DataOn) -> Feed | StreamedFeed:
    """Returns the feed that `data_on` names; "auto" is the device where the training part fits in its memory.

    Of several processes all must have the room.
    """
    resident = data_on == "device"
    if data_on == "auto":
        own = [device for device in engine.devices if device.process_index == jax.process_index()]
        resident = bool(gather(fits(dataset, engine.samples, own)).all())
    return Feed(engine, dataset) if resident else StreamedFeed(engine, dataset)


def plan_epoch(engine: Engine, seed: int | Integer[Array, ""], epoch: int) -> Plan:
    """Returns the plans of an epoch, arrays [P, B, …] on the devices; the seed may be traced."""
    settings: Any = {"batch_size": engine.config.batch_size, "spec": engine.spec, "samples": engine.samples}
    return engine.place(epoch_plan(jnp.uint32(seed), np.uint32(epoch), engine.table.lengths, **settings))


def lay_out(dataset: Dataset, margin: int) -> ResidentSamples:
    """Returns the training part's samples in a row, with `margin` rows of zeros at both ends, as NumPy arrays."""
    pack = dataset.pack
    offsets, lengths = pack.offsets[dataset.train], pack.lengths[dataset.train]
    recordings = [pack.samples[first : first + length] for first, length in zip(offsets, lengths, strict=True)]
    zeros = np.zeros((margin, pack.samples.shape[1]), np.int16)
    begins = margin + np.cumsum(lengths) - lengths
    arrays: Any = (np.concatenate([zeros, *recordings, zeros]), begins.astype(np.int32))
    return ResidentSamples(*arrays)


def fits(dataset: Dataset, margin: int, devices: Sequence[Any]) -> bool:
    """Returns whether the training part fits in the memory of each of these devices beside the network."""
    rows = int(dataset.pack.lengths[dataset.train].sum()) + 2 * margin
    size = rows * dataset.pack.samples.shape[1] * dataset.pack.samples.itemsize
    device = devices[0]
    if device.platform == "cpu":
        size *= len(devices)  # which share the computer's memory, and each have a copy
    stats = device.memory_stats() if device.platform != "cpu" else None
    room = SHARE * stats["bytes_limit"] if stats and "bytes_limit" in stats else SHARE_OF_COMPUTER * _memory()
    return rows < 2**31 and size <= room


def _memory() -> int:
    """Returns the bytes of memory of this computer, or of the container that this process runs in."""
    physical: int = psutil.virtual_memory().total
    limit = _CGROUP.read_text().strip() if _CGROUP.exists() else "max"
    return min(physical, int(limit)) if limit.isdigit() else physical
