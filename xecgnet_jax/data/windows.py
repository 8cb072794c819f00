"""(seed, step) → which windows a training batch takes; and the windows that predict a recording.

An epoch visits every training recording once, in an order of its own. Where the recordings do not fill the last batch,
it is filled up with the first ones of the same epoch at weight 0: shapes stay fixed, and every recording counts exactly
once in the loss.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.config import Config, window_length

WindowKind = Literal["crop", "pad", "whole"]
Lengths = TypeVar("Lengths", np.ndarray, jax.Array, Any)


class WindowSpec(NamedTuple):
    """How recordings are cut into what the network sees."""

    kind: WindowKind  #: "crop", "pad" or "whole", see `DataConfig.window`
    length: int  #: samples of a window; of whole windows the most that training takes of a recording
    pools: tuple[int, ...]  #: of the network, see `ModelConfig.pools`
    over: Literal["mean", "max"] = "mean"  #: see `DataConfig.over_windows`
    step: int = 0  #: samples from a crop window to the next in evaluation; 0: a window's length

    @property
    def samples_per_bin(self) -> int:
        """Samples per attention bin of the network."""
        return math.prod(self.pools)

    def whole_bins(self, lengths: Lengths) -> Lengths:
        """Attention bins that hold recordings of these lengths (samples, also symbolic) as whole windows."""
        return (lengths + self.samples_per_bin - 1) // self.samples_per_bin

    def whole_starts(self, lengths: Lengths) -> Lengths:
        """First samples of whole windows: 0, or below where zeros before the recording fill its first bin."""
        return lengths - self.samples_per_bin * self.whole_bins(lengths)


class Plan(NamedTuple):
    """The windows of a batch; or, with an axis in front, of the P batches of an epoch. On the host: NumPy arrays."""

    recordings: jax.Array  #: [B] int32, positions in the list of recordings that was planned
    starts: jax.Array  #: [B] int32, first sample of the window; negative where zeros stand before the recording
    bins: jax.Array  #: [B] int32, attention bins that are real (all of the window's, except for `whole`)
    weights: jax.Array  #: [B] float32, 1, or 0 for the filling of an incomplete batch
    inside: jax.Array  #: [B, 2] int32, first and last + 1 sample of the window that belong to the recording


def window_spec(config: Config) -> WindowSpec:
    """Returns how a run of this config cuts recordings."""
    data, length = config.data, window_length(config)
    step = min(length, max(1, round(data.window_step * data.rate))) if data.window_step else 0
    return WindowSpec(data.window, length, config.model.pools, data.over_windows, step)


def training_samples(spec: WindowSpec, lengths: np.ndarray) -> tuple[int, bool]:
    """Returns T of every training window, and whether some window has bins that are not real, so needs a mask.

    `lengths` are [R], samples of the training recordings.
    """
    if spec.kind != "whole":
        return spec.length, False
    bins = spec.whole_bins(lengths)
    samples = int(min(spec.length, spec.samples_per_bin * bins.max()))
    return samples, bool(np.any(bins * spec.samples_per_bin < samples))


def steps_per_epoch(recordings: int, batch_size: int) -> int:
    """Returns the number of batches that visit every recording once."""
    return -(-recordings // batch_size)


@partial(jax.jit, static_argnames=("batch_size", "spec", "samples"))
def epoch_plan(
    seed: jax.Array | int,
    epoch: jax.Array | int,
    lengths: jax.Array | np.ndarray,
    *,
    batch_size: int,
    spec: WindowSpec,
    samples: int,
) -> Plan:
    """Returns all P batches of an epoch: a pure function of its arguments, in whole numbers only.

    The axis P is in front. Host and device get the same numbers, for both run this.

    Args:
      seed: of the run, uint32; may be traced.
      epoch: 0, 1, …; may be traced.
      lengths: [R] int32, samples of each training recording.
      batch_size: recordings in a step, B.
      spec: crop (a uniform random start), pad (the end of the recording at the end of the window) or whole (the
        recording, left-padded with zeros to a full bin; a random crop where it is longer than the window).
      samples: T, see `training_samples`.
    """
    recordings = lengths.shape[0]
    positions = jnp.arange(steps_per_epoch(recordings, batch_size) * batch_size)
    order = jax.random.permutation(_key(seed, 1, epoch), recordings)
    chosen = order[positions % recordings]
    length = jnp.asarray(lengths)[chosen]
    all_bins = -(-samples // spec.samples_per_bin)
    is_whole = spec.kind == "whole"
    bins = jnp.minimum(spec.whole_bins(length), all_bins) if is_whole else jnp.full_like(length, all_bins)
    spare = jnp.maximum(length - samples, 0)
    anywhere = jax.random.randint(_key(seed, 2, epoch), positions.shape, 0, spare + 1)
    at_the_end = length - (spec.samples_per_bin * bins if is_whole else samples)
    starts = jnp.where((length < samples) | (spec.kind == "pad"), at_the_end, anywhere)
    inside = jnp.stack([jnp.maximum(-starts, 0), jnp.minimum(length - starts, samples)], axis=-1)
    weights = (positions < recordings).astype(jnp.float32)
    flat = Plan(chosen, starts, bins, weights, inside)
    return Plan(*(value.reshape(-1, batch_size, *value.shape[1:]) for value in flat))


def _key(seed: jax.Array | int, purpose: int, epoch: jax.Array | int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), epoch)


def evaluation_windows(lengths: np.ndarray, spec: WindowSpec) -> tuple[np.ndarray, np.ndarray]:
    """Returns the windows that predict whole recordings: (recordings [W] int32, starts [W] int32).

    crop: the ⌊N / length⌋ consecutive windows of a recording of N samples from its first sample on, one left-padded
    window where N < length. With a step below the length there are more, until one ends with the recording. pad and
    whole: one window each.
    """
    lengths = np.asarray(lengths, np.int64)
    everyone = np.arange(len(lengths), dtype=np.int32)
    if spec.kind == "pad":
        return everyone, (lengths - spec.length).astype(np.int32)
    if spec.kind == "whole":
        return everyone, spec.whole_starts(lengths).astype(np.int32)
    last = lengths - spec.length  # the last window may begin here; below 0 for recordings that one window holds
    overlap = 0 < spec.step < spec.length
    step = spec.step if overlap else spec.length
    count = 1 + np.maximum((last + (step - 1 if overlap else 0)) // step, 0)
    recordings = np.repeat(everyone, count)
    number = np.arange(len(recordings)) - np.repeat(np.cumsum(count) - count, count)
    return recordings, np.minimum(number * step, last[recordings]).astype(np.int32)
