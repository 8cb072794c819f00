"""(seed, step) → which recordings, which windows; gather them.

An epoch visits every training recording once, in an order of its own. Where the recordings do not fill the last
batch, it is filled up with the first ones of the same epoch at weight 0: shapes stay fixed, and every recording
counts exactly once in the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.model import BIN

Window = Literal["crop", "pad", "whole"]
Array = TypeVar("Array", np.ndarray, jax.Array)


class Plan(NamedTuple):
    """Which windows make a batch.

    Attributes:
      recordings: [B] int32, positions in the list of recordings that was planned.
      starts: [B] int32, first sample of the window; negative where zeros stand before the recording.
      bins: [B] int32, attention bins that are real (all of the window's, except for `whole`).
      weights: [B] float32, 1, or 0 for the filling of an incomplete batch.
      inside: [B, 2] int32, first and last + 1 sample of the window that belong to the recording.
    """

    recordings: Any
    starts: Any
    bins: Any
    weights: Any
    inside: Any


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


def whole_bins(lengths: Array) -> Array:
    """Attention bins that hold recordings of these lengths (samples) as whole windows."""
    return -(-lengths // BIN)


def window_samples(window: Window, length: int, lengths: np.ndarray) -> int:
    """T of a training window: `length`, or for `whole` what the longest recording needs, at most `length`."""
    if window != "whole":
        return length
    return int(min(length, BIN * whole_bins(lengths).max()))


@partial(jax.jit, static_argnames=("batch_size", "window", "samples"))
def epoch_plan(
    seed: jax.Array | int,
    epoch: jax.Array | int,
    lengths: jax.Array | np.ndarray,
    *,
    batch_size: int,
    window: Window,
    samples: int,
) -> Plan:
    """All batches of an epoch, P steps: a pure function of its arguments, in whole numbers only.

    Host and device get the same numbers, for both run this.

    Args:
      seed: of the run; may be traced.
      epoch: 0, 1, …; may be traced.
      lengths: [R] int32, samples of each training recording.
      batch_size: B.
      window: crop (a uniform random start), pad (the end of the recording at the end of the window) or whole (the
        recording, left-padded with zeros to a full bin; a random crop where it is longer than the window).
      samples: T.

    Returns:
      A Plan with an axis P in front.
    """
    recordings = lengths.shape[0]
    positions = jnp.arange(steps_per_epoch(recordings, batch_size) * batch_size)
    order = jax.random.permutation(_key(seed, 1, epoch), recordings)
    chosen = order[positions % recordings]
    length = jnp.asarray(lengths)[chosen]
    all_bins = -(-samples // BIN)
    bins = jnp.minimum(whole_bins(length), all_bins) if window == "whole" else jnp.full_like(length, all_bins)
    spare = jnp.maximum(length - samples, 0)
    anywhere = jax.random.randint(_key(seed, 2, epoch), positions.shape, 0, spare + 1)
    at_the_end = length - (BIN * bins if window == "whole" else samples)
    starts = jnp.where((length < samples) | (window == "pad"), at_the_end, anywhere)
    inside = jnp.stack([jnp.maximum(-starts, 0), jnp.minimum(length - starts, samples)], axis=-1)
    weights = (positions < recordings).astype(jnp.float32)
    flat = Plan(chosen, starts, bins, weights, inside)
    return Plan(*(value.reshape(-1, batch_size, *value.shape[1:]) for value in flat))


def _key(seed: jax.Array | int, purpose: int, epoch: jax.Array | int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), epoch)


def plan(seed: int, step: int, lengths: np.ndarray, *, batch_size: int, window: Window, samples: int) -> Plan:
    """The batch of training step `step` (0, 1, …), as NumPy arrays: a row of its epoch's plan, see `epoch_plan`."""
    epoch, within = divmod(step, steps_per_epoch(len(lengths), batch_size))
    made = epoch_plan(
        np.uint32(seed),
        np.uint32(epoch),
        np.asarray(lengths, np.int32),
        batch_size=batch_size,
        window=window,
        samples=samples,
    )
    return Plan(*(np.asarray(value)[within] for value in made))


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
