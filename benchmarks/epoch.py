"""An epoch with its data: the training loop's own machinery against a PyTorch loop with its DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.machine import threads, torch_missing
from benchmarks.ours import Epochs
from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import time_call, time_in_turns
from xecgnet_jax.data.batches import recording_table
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.pack.storage import SAMPLES

RESIDENT, STREAMED, PEER = "xecgnet-jax, data on the device", "xecgnet-jax, data streamed", "PyTorch, DataLoader"


def run(setting: Setting) -> Iterator[Table]:
    batches = 2 if setting.quick else 6
    recordings = batches * setting.batch_size
    dataset = setting.dataset(recordings)
    resident, streamed = (Epochs(setting.config, dataset, resident=resident) for resident in (True, False))
    runs: dict[str, Callable[[], object]] = {RESIDENT: resident, STREAMED: streamed}
    remarks = []
    if missing := torch_missing():
        remarks.append(missing)
    else:
        runs[PEER], chosen = _peer(setting, dataset)
        remarks.append(chosen)
    compiling = {name: time_call(runs[name]) for name in (RESIDENT, STREAMED)}
    repetitions = setting.repetitions(5)
    waited = streamed.waited
    timings = time_in_turns(runs, repetitions=repetitions, lead=1)
    share = (streamed.waited - waited) / (2 * (repetitions + 1) * timings[STREAMED].median)
    resident.close()
    streamed.close()
    remarks.append(f"Streamed, the device waited for data during {100 * share:.1f} % of the time.")
    remarks.append("Compiling includes the first epoch.")
    yield timing_table(
        f"An epoch of {batches} batches of {setting.batch_size} crop windows, {threads()} threads",
        timings,
        baseline=PEER if PEER in runs else STREAMED,
        amount=recordings,
        unit="recordings",
        compiling=compiling,
        remarks=remarks,
    )


def _peer(setting: Setting, dataset: Dataset) -> tuple[Callable[[], float], str]:
    """Returns PyTorch's epoch with as many workers as are fastest, and how fast the others are."""
    import torch

    from benchmarks.torch_data import WORKERS, loader, train_epoch
    from benchmarks.torch_peer import make_peer, training_step

    torch.set_num_threads(threads())
    step = training_step(make_peer(setting.variables, setting.width))
    crops = make_crops(setting, dataset)
    epochs: dict[str, Callable[[], float]] = {}
    for workers in WORKERS[:2] if setting.quick else WORKERS:
        batches = loader(crops, setting.batch_size, workers)
        epochs[str(workers)] = lambda batches=batches: train_epoch(step, batches)  # type: ignore[misc]
    timings = time_in_turns(epochs, repetitions=2)
    best = min(timings, key=lambda workers: timings[workers].median)
    tried = ", ".join(f"{workers}: {timing.median:.3g} s" for workers, timing in timings.items())
    return epochs[best], f"The DataLoader has {best} worker processes (medians by their number: {tried})."


def make_crops(setting: Setting, dataset: Dataset) -> Any:
    """Returns the training part as PyTorch's dataset."""
    from benchmarks.torch_data import Crops

    table: Any = recording_table(dataset)  # NumPy arrays
    file = setting.scratch / f"pack-{len(dataset.train)}" / SAMPLES
    begins = dataset.pack.offsets[dataset.train]
    return Crops(file, begins, table.lengths, table.scale, table.shift, table.labels, setting.samples)
