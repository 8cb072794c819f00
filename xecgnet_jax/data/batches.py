"""Planned windows as 16-bit counts → the batch that the network sees, made by the device.

Counts are gathered either on the host, from the memory map, or on the device, from the recordings that live there.
All the rest is one function for both: `to_batch`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.normalization import scale_and_shift
from xecgnet_jax.data.windows import Plan


class Batch(NamedTuple):
    """What a training step takes."""

    signal: jax.Array  #: [B, T, 12] float32, normalized leads, zero outside the recording
    labels: jax.Array  #: [B, C] float32, 0 or 1
    weights: jax.Array  #: [B] float32, how much each recording counts in the loss
    bins: jax.Array | None  #: [B] int32 real attention bins, or None where all are real
    inside: jax.Array  #: [B, 2] int32, first and last + 1 sample of the window that belong to the recording


class RecordingTable(NamedTuple):
    """What is known of each of the R training recordings besides its samples. On the host: NumPy arrays."""

    lengths: jax.Array  #: [R] int32 samples
    scale: jax.Array  #: [R, 12] float32
    shift: jax.Array  #: [R, 12] float32: normalized lead = count · scale + shift
    labels: jax.Array  #: [R, C] float32, 0 or 1
    weights: jax.Array  #: [R] float32, how much each counts in the loss


class ResidentSamples(NamedTuple):
    """The training recordings' samples, one after another, for the device. On the host: NumPy arrays."""

    samples: jax.Array  #: [N, 12] int16, at least T rows before the first and after the last recording
    begins: jax.Array  #: [R] int32, first row of each recording


def recording_table(dataset: Dataset) -> RecordingTable:
    """Returns the table of the training part, as NumPy arrays."""
    pack, rows = dataset.pack, dataset.train
    scale, shift = scale_and_shift(pack.step[rows], pack.zero[rows], dataset.normalization)
    labels, weights = pack.labels[rows].astype(np.float32), dataset.weights[rows].astype(np.float32)
    arrays: Any = (pack.lengths[rows].astype(np.int32), scale, shift, labels, weights)
    return RecordingTable(*arrays)


def gather_counts(samples: np.ndarray, begins: np.ndarray, plan: Plan, length: int) -> np.ndarray:
    """Returns the counts [B, T, 12] int16 of a planned batch, cut on the host; zero outside the recordings.

    `samples` are [N, 12] int16, of a pack; `begins` [R], the first row of each training recording in it.
    """
    counts = np.zeros((len(plan.recordings), length, samples.shape[1]), np.int16)
    first_rows = begins[plan.recordings] + plan.starts
    for row, (begin, (first, end)) in enumerate(zip(first_rows.tolist(), plan.inside.tolist(), strict=True)):
        counts[row, first:end] = samples[begin + first : begin + end]
    return counts


def cut_counts(source: ResidentSamples, plan: Plan, length: int) -> jax.Array:
    """Returns the counts [B, T, 12] of a planned batch, cut on the device.

    Beside its recording a window holds its neighbors' counts.
    """
    first = source.begins[plan.recordings] + plan.starts
    leads = source.samples.shape[1]
    return jax.vmap(lambda row: jax.lax.dynamic_slice(source.samples, (row, 0), (length, leads)))(first)


def to_batch(counts: jax.Array, plan: Plan, table: RecordingTable, *, masked: bool) -> Batch:
    """Returns the batch of a plan and its counts [B, T, 12] int16, whatever stands outside the recordings."""
    time = jnp.arange(counts.shape[1])[None, :]
    inside = (time >= plan.inside[:, :1]) & (time < plan.inside[:, 1:])
    scale, shift = (jnp.asarray(part)[plan.recordings][:, None, :] for part in (table.scale, table.shift))
    signal = jnp.where(inside[..., None], counts.astype(jnp.float32) * scale + shift, 0.0)
    labels = jnp.asarray(table.labels)[plan.recordings]
    weights = plan.weights * jnp.asarray(table.weights)[plan.recordings]
    return Batch(signal, labels, weights, plan.bins if masked else None, plan.inside)
