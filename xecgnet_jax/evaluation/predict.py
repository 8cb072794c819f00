"""Whole recordings → class probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.data.batches import Standardisation, Window, evaluation_windows, gather, whole_bins
from xecgnet_jax.model import BIN, Outputs, probabilities

#: (variables, signal [B, T, 12], bins [B] or None) → probabilities [B, C]
Predict = Callable[[Any, jax.Array, jax.Array | np.ndarray | None], jax.Array]


def make_predict(apply: Callable[..., Any]) -> Predict:
    """The jitted inference step of a model's `apply`."""

    @jax.jit
    def predict(variables: Any, signal: jax.Array, bins: jax.Array | None) -> jax.Array:
        outputs: Outputs = apply(variables, signal, train=False, bins=bins)
        return probabilities(outputs)

    return predict


def predict_recordings(
    predict: Predict,
    variables: Any,
    signal: Callable[[int], np.ndarray],
    lengths: np.ndarray,
    *,
    window: Window,
    length: int,
    standardisation: Standardisation,
    batch_size: int = 32,
    progress: Callable[[int], Any] | None = None,
) -> np.ndarray:
    """Class probabilities of whole recordings.

    Args:
      predict: from `make_predict`.
      variables: of the model.
      signal: position → [N, 12] mV.
      lengths: [R] samples.
      window: how recordings are cut, see `evaluation_windows`; a recording's probabilities are the mean over its
        windows.
      length: samples of a crop or pad window; not used for whole ones.
      standardisation: of the training part.
      batch_size: windows in a step. A smaller last batch is filled with zeros and cut off again: exact, because in
        inference no recording touches another.
      progress: called with the number of windows after each step.

    Returns:
      [R, C] float32.
    """
    lengths = np.asarray(lengths)
    recordings, starts = evaluation_windows(lengths, window=window, length=length)
    total: np.ndarray | None = None
    for rows, samples in _batches(lengths, recordings, window, length, batch_size):
        batch, _ = gather(signal, recordings[rows], starts[rows], samples, standardisation)
        bins = None
        if window == "whole" and np.any(whole_bins(lengths[recordings[rows]]) * BIN < samples):
            bins = np.ones(batch_size, np.int32)
            bins[: len(rows)] = whole_bins(lengths[recordings[rows]])
        padded = np.pad(batch, ((0, batch_size - len(rows)), (0, 0), (0, 0)))
        result = np.asarray(predict(variables, jnp.asarray(padded), bins))[: len(rows)]
        if total is None:
            total = np.zeros((len(lengths), result.shape[1]), np.float64)
        np.add.at(total, recordings[rows], result)
        if progress is not None:
            progress(len(rows))
    if total is None:
        raise ValueError("no recordings to predict")
    windows = np.bincount(recordings, minlength=len(lengths))
    return (total / windows[:, None]).astype(np.float32)


def _batches(
    lengths: np.ndarray, recordings: np.ndarray, window: Window, length: int, batch_size: int
) -> Iterator[tuple[np.ndarray, int]]:
    """(rows of the window list, samples of the batch). Whole recordings go by length, in few shapes."""
    if window != "whole":
        for first in range(0, len(recordings), batch_size):
            yield np.arange(first, min(first + batch_size, len(recordings))), length
        return
    bins = whole_bins(lengths[recordings])
    order = np.argsort(bins, kind="stable")
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        shortest, longest = int(bins[rows[0]]), int(bins[rows[-1]])
        yield rows, BIN * (longest if shortest == longest else _rounded_up(longest))


def _rounded_up(bins: int) -> int:
    """`bins` in steps of at most a quarter, so that a long-tailed corpus compiles few shapes."""
    step = max(1, 2 ** (bins.bit_length() - 3))
    return -(-bins // step) * step
