"""Planned windows as 16-bit counts → the batch that the network sees, made by the device.

Counts are gathered either on the host, from the memory map, or on the device, from the recordings that live there.
All the rest is one function for both: `batch_of`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.config import Config, window_length
from xecgnet_jax.data.batches import Batch, Plan, Standardisation, epoch_plan, plan, whole_bins, window_samples
from xecgnet_jax.data.dataset import Parts
from xecgnet_jax.model import BIN


class Table(NamedTuple):
    """What is known of each of the R training recordings besides its samples.

    Attributes:
      lengths: [R] int32 samples.
      factor: [R, 12] float32.
      offset: [R, 12] float32: standardised lead = count · factor + offset.
      labels: [R, C] float32, 0 or 1.
    """

    lengths: np.ndarray
    factor: np.ndarray
    offset: np.ndarray
    labels: np.ndarray


class Cutting(NamedTuple):
    """How the training part's recordings are cut.

    Attributes:
      samples: T of every window.
      masked: some window of some batch has bins that are not real. Without such there is no mask, and none of its cost.
    """

    samples: int
    masked: bool


def cutting(config: Config, lengths: np.ndarray) -> Cutting:
    """For training recordings of these lengths."""
    samples = window_samples(config.data.window, window_length(config.data), lengths)
    return Cutting(samples, config.data.window == "whole" and bool(np.any(whole_bins(lengths) * BIN < samples)))


def table_of(parts: Parts) -> Table:
    """The training part's table."""
    rows = parts.train
    factor, offset = scales(parts.pack.step[rows], parts.pack.zero[rows], parts.standardisation)
    labels = parts.pack.labels[rows].astype(np.float32)
    return Table(parts.pack.lengths[rows].astype(np.int32), factor, offset, labels)


def scales(step: np.ndarray, zero: np.ndarray, moments: Standardisation) -> tuple[np.ndarray, np.ndarray]:
    """(factor, offset), float32: ((count − zero) · step − mean) / deviation = count · factor + offset.

    Computed in float64, so that what float32 then rounds is one multiplication and one addition.

    Args:
      step, zero: [R, 12] float64, of a pack.
      moments: of the leads.
    """
    mean, deviation = moments.mean.astype(np.float64), moments.deviation.astype(np.float64)
    return (step / deviation).astype(np.float32), (-(zero * step + mean) / deviation).astype(np.float32)


def gathered(samples: np.ndarray, begins: np.ndarray, chosen: Plan, length: int) -> np.ndarray:
    """The counts [B, T, 12] int16 of a planned batch, cut on the host; zero outside the recordings.

    Args:
      samples: [N, 12] int16, of a pack.
      begins: [R] first row of each training recording in it.
      chosen: the batch, as NumPy arrays.
      length: T.
    """
    counts = np.zeros((len(chosen.recordings), length, samples.shape[1]), np.int16)
    first_rows = begins[chosen.recordings] + chosen.starts
    for row, (begin, (first, end)) in enumerate(zip(first_rows.tolist(), chosen.inside.tolist(), strict=True)):
        counts[row, first:end] = samples[begin + first : begin + end]
    return counts


def batch_of(counts: jax.Array, chosen: Plan, table: Table, *, masked: bool) -> Batch:
    """The batch of a plan and its counts [B, T, 12] int16, whatever stands outside the recordings; to be jitted."""
    time = jnp.arange(counts.shape[1])[None, :]
    inside = (time >= chosen.inside[:, :1]) & (time < chosen.inside[:, 1:])
    factor, offset = (jnp.asarray(part)[chosen.recordings][:, None, :] for part in (table.factor, table.offset))
    signal = jnp.where(inside[..., None], counts.astype(jnp.float32) * factor + offset, 0.0)
    labels = jnp.asarray(table.labels)[chosen.recordings]
    return Batch(signal, labels, chosen.weights, chosen.bins if masked else None, chosen.inside)


def plans(config: Config, lengths: np.ndarray | jax.Array, samples: int, seeds: np.ndarray, epoch: int) -> Plan:
    """The plans of an epoch for several seeds [M] uint32: a Plan of arrays [M, P, B, …]."""
    return _plans(
        seeds,
        np.uint32(epoch),
        lengths,
        batch_size=config.batch_size,
        window=config.data.window,
        samples=samples,
    )


@partial(jax.jit, static_argnames=("batch_size", "window", "samples"))
def _plans(seeds: jax.Array, epoch: jax.Array, lengths: jax.Array, **static: int | str) -> Plan:
    made: Plan = jax.vmap(lambda seed: epoch_plan(seed, epoch, lengths, **static))(seeds)
    return made


def make_batch(config: Config, parts: Parts, step: int) -> Batch:
    """The batch of a step, its counts gathered on the host: a pure function of (config, data, step)."""
    table = table_of(parts)
    cut = cutting(config, table.lengths)
    chosen = plan(
        config.seed,
        step,
        table.lengths,
        batch_size=config.batch_size,
        window=config.data.window,
        samples=cut.samples,
    )
    counts = gathered(parts.pack.samples, parts.pack.offsets[parts.train], chosen, cut.samples)
    made: Batch = _jitted_batch_of(counts, chosen, table, masked=cut.masked)
    return made


_jitted_batch_of = jax.jit(batch_of, static_argnames="masked")
