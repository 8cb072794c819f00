"""(seed, step) → which recordings, which windows; gather them.

An epoch visits every training recording once, in an order of its own. Where the recordings do not fill the last
batch, it is filled up with the first ones of the same epoch at weight 0: shapes stay fixed, and every recording
counts exactly once in the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.model import BIN

Window = Literal["crop", "pad", "whole"]


class Plan(NamedTuple):
    """Which windows make a batch.

    Attributes:
      recordings: [B] int32, positions in the list of recordings that was planned.
      starts: [B] int32, first sample of the window; negative where zeros stand before the recording.
      bins: [B] int32, attention bins that are real (all of the window's, except for `whole`).
      weights: [B] float32, 1, or 0 for the filling of an incomplete batch.
    """

    recordings: np.ndarray
    starts: np.ndarray
    bins: np.ndarray
    weights: np.ndarray


class Batch(NamedTuple):
    """What a step takes.

    Attributes:
      signal: [B, T, 12] float32, standardised leads, zero outside the recording.
      labels: [B, C] float32, 0 or 1.
      weights: [B] float32.
      bins: [B] int32 real attention bins, or None where all are real.
      inside: [B, 2] int32, first and last + 1 sample of the window that belong to the recording.
    """

    signal: Any
    labels: Any
    weights: Any
    bins: Any
    inside: Any


class Standardisation(NamedTuple):
    """Per-lead mean and standard deviation in mV, [12] float32 each."""

    mean: np.ndarray
    deviation: np.ndarray


def steps_per_epoch(recordings: int, batch_size: int) -> int:
    return -(-recordings // batch_size)


def whole_bins(lengths: np.ndarray) -> np.ndarray:
    """Attention bins that hold recordings of these lengths (samples) as whole windows."""
    return -(-np.asarray(lengths) // BIN)


def window_samples(window: Window, length: int, lengths: np.ndarray) -> int:
    """T of a training window: `length`, or for `whole` what the longest recording needs, at most `length`."""
    if window != "whole":
        return length
    return int(min(length, BIN * whole_bins(lengths).max()))


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, recordings: int) -> np.ndarray:
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), epoch)
    return np.asarray(jax.random.permutation(key, recordings))


@partial(jax.jit, static_argnames="batch_size")
def _uniform(seed: jax.Array, step: jax.Array, batch_size: int) -> jax.Array:
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), step)
    return jax.random.uniform(key, (batch_size,))


def plan(seed: int, step: int, lengths: np.ndarray, *, batch_size: int, window: Window, samples: int) -> Plan:
    """The batch of training step `step` (0, 1, …): a pure function of its arguments.

    Args:
      seed: of the run.
      step: counted from the run's beginning.
      lengths: [R] samples of each training recording.
      batch_size: B.
      window: crop (a uniform random start), pad (the end of the recording at the end of the window) or whole (the
        recording, left-padded with zeros to a full bin; a random crop where it is longer than the window).
      samples: T.
    """
    recordings = len(lengths)
    per_epoch = steps_per_epoch(recordings, batch_size)
    epoch, first = divmod(step, per_epoch)
    positions = first * batch_size + np.arange(batch_size)
    chosen = _epoch_order(seed, epoch, recordings)[positions % recordings].astype(np.int32)
    weights = (positions < recordings).astype(np.float32)
    length = np.asarray(lengths)[chosen]
    bins = np.full(batch_size, -(-samples // BIN))
    if window == "pad":
        starts = length - samples
    else:
        spare = np.maximum(length - samples, 0)
        uniform = np.asarray(_uniform(np.uint32(seed), np.uint32(step), batch_size), np.float64)
        starts = np.minimum(np.floor(uniform * (spare + 1)).astype(np.int64), spare)
        if window == "whole":
            bins = np.minimum(whole_bins(length), bins)
            starts = np.where(length < samples, length - BIN * bins, starts)
        else:
            starts = np.where(length < samples, length - samples, starts)
    return Plan(chosen, starts.astype(np.int32), bins.astype(np.int32), weights)


def evaluation_windows(lengths: np.ndarray, *, window: Window, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows that predict whole recordings: (recordings [W] int32, starts [W] int32).

    crop: the ⌊N / length⌋ consecutive windows of a recording of N samples from its first sample on, one left-padded
    window where N < length. pad and whole: one window each.
    """
    lengths = np.asarray(lengths, np.int64)
    everyone = np.arange(len(lengths), dtype=np.int32)
    if window == "pad":
        return everyone, (lengths - length).astype(np.int32)
    if window == "whole":
        return everyone, (lengths - BIN * whole_bins(lengths)).astype(np.int32)
    count = np.maximum(lengths // length, 1)
    recordings = np.repeat(everyone, count)
    number = np.arange(len(recordings)) - np.repeat(np.cumsum(count) - count, count)
    starts = np.where(lengths[recordings] < length, lengths[recordings] - length, number * length)
    return recordings, starts.astype(np.int32)


def gather(
    signal: Callable[[int], np.ndarray],
    recordings: np.ndarray,
    starts: np.ndarray,
    samples: int,
    standardisation: Standardisation,
) -> tuple[np.ndarray, np.ndarray]:
    """Windows as the network sees them.

    Args:
      signal: recording → [N, 12] mV.
      recordings, starts: [B].
      samples: T.
      standardisation: of each lead. Zeros outside the recording are put in after it.

    Returns:
      (signal [B, T, 12] float32, inside [B, 2] int32).
    """
    batch = np.zeros((len(recordings), samples, len(standardisation.mean)), np.float32)
    inside = np.zeros((len(recordings), 2), np.int32)
    for row, (recording, start) in enumerate(zip(recordings.tolist(), starts.tolist(), strict=True)):
        whole = signal(recording)
        first = max(0, -start)
        part = whole[max(0, start) : start + samples]
        batch[row, first : first + len(part)] = (part - standardisation.mean) / standardisation.deviation
        inside[row] = first, first + len(part)
    return batch, inside


def standardisation(signals: Callable[[int], np.ndarray], recordings: np.ndarray) -> Standardisation:
    """Per lead: the mean over recordings of a recording's mean, and of its standard deviation (paper.md).

    A lead that is flat in all recordings gets a deviation of 1 mV, so that it stays finite.
    """
    mean = np.zeros(0)
    deviation = np.zeros(0)
    for recording in np.asarray(recordings).tolist():
        signal = signals(recording).astype(np.float64)
        mean = signal.mean(axis=0) + (mean if mean.size else 0.0)
        deviation = signal.std(axis=0) + (deviation if deviation.size else 0.0)
    mean, deviation = mean / len(recordings), deviation / len(recordings)
    return Standardisation(mean.astype(np.float32), np.where(deviation > 0, deviation, 1.0).astype(np.float32))


def augment(batch: Batch, key: jax.Array, strength: float) -> Batch:
    """Random gains, baseline wander, noise and lead loss, on the recording's samples only.

    Units are standard deviations of a lead. At strength 1: log-normal gain of the recording (σ 0.2) and of each lead
    (σ 0.1), a sinusoidal wander of 0.05–0.5 Hz per lead (half-normal amplitude, σ 0.2), white noise (half-normal level,
    σ 0.05), and each lead lost with probability 0.05.
    """
    keys = jax.random.split(key, 8)
    signal = batch.signal
    size, samples, leads = signal.shape
    per_lead = (size, 1, leads)
    gain = jnp.exp(0.2 * strength * jax.random.normal(keys[0], (size, 1, 1)))
    gain = gain * jnp.exp(0.1 * strength * jax.random.normal(keys[1], per_lead))
    gain = gain * (jax.random.uniform(keys[2], per_lead) >= 0.05 * strength)
    frequency = jax.random.uniform(keys[3], per_lead, minval=0.05, maxval=0.5)
    phase = jax.random.uniform(keys[4], per_lead, maxval=2 * jnp.pi)
    amplitude = 0.2 * strength * jnp.abs(jax.random.normal(keys[5], per_lead))
    seconds = (jnp.arange(samples) / 500.0)[None, :, None]
    level = 0.05 * strength * jnp.abs(jax.random.normal(keys[6], (size, 1, 1)))
    changed = signal * gain + amplitude * jnp.sin(2 * jnp.pi * frequency * seconds + phase)
    changed = changed + level * jax.random.normal(keys[7], signal.shape)
    time = jnp.arange(samples)[None, :]
    inside = (time >= batch.inside[:, :1]) & (time < batch.inside[:, 1:])
    return batch._replace(signal=jnp.where(inside[..., None], changed, 0.0))
