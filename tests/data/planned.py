"""The plan and the batch of a single step, by the functions that make whole epochs."""

from __future__ import annotations

import jax
import numpy as np

from xecgnet_jax.config import Config
from xecgnet_jax.data.batches import Batch, gather_counts, recording_table, to_batch
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.windows import Plan, WindowSpec, epoch_plan, steps_per_epoch, training_samples, window_spec


def step_plan(seed: int, step: int, lengths: np.ndarray, *, batch_size: int, spec: WindowSpec, samples: int) -> Plan:
    """Returns the batch of training step `step` (0, 1, …), as NumPy arrays: a row of its epoch's plan."""
    epoch, within = divmod(step, steps_per_epoch(len(lengths), batch_size))
    plans = epoch_plan(
        np.uint32(seed),
        np.uint32(epoch),
        np.asarray(lengths, np.int32),
        batch_size=batch_size,
        spec=spec,
        samples=samples,
    )
    return Plan(*(np.asarray(value)[within] for value in plans))


_jitted_to_batch = jax.jit(to_batch, static_argnames="masked")


def make_batch(config: Config, dataset: Dataset, step: int) -> Batch:
    """Returns the batch of a step (0, 1, …): a pure function of (config, data, step)."""
    table, spec = recording_table(dataset), window_spec(config)
    samples, masked = training_samples(spec, np.asarray(table.lengths))
    plan = step_plan(
        config.seed, step, np.asarray(table.lengths), batch_size=config.batch_size, spec=spec, samples=samples
    )
    counts = gather_counts(dataset.pack.samples, dataset.pack.offsets[dataset.train], plan, samples)
    made: Batch = _jitted_to_batch(counts, plan, table, masked=masked)
    return made
