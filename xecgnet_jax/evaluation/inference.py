"""Whole recordings → class probabilities, and the maps on each recording's own time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.data.batches import gather_windows
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.windows import WindowSpec, evaluation_windows
from xecgnet_jax.model import Outputs, RepeatedBin, bin_edges, bucket, probabilities, trim_padding


class Predict(Protocol):
    """(variables, signal [B, T, 12], bins [B] or None) → (probabilities [B, C], the network's outputs)."""

    def __call__(
        self, variables: Any, signal: jax.Array, bins: jax.Array | np.ndarray | None, repeat: RepeatedBin | None = None
    ) -> tuple[jax.Array, Outputs]: ...


class Maps(NamedTuple):
    """The maps of one recording on its own time. S attention bins.

    Attributes:
      edges: [S + 1] int64, ascending: bin s stands for the samples edges[s] to edges[s + 1] of the recording. Samples
        before the first and after the last edge were not seen (pad: the beginning of a recording longer than the
        window; crop: the rest after the last whole window).
      attention: [S] float32 in (0, 1), or None for the plain network.
      responses: [S, C] float32, ≥ 0, or None for the plain network.
    """

    edges: np.ndarray
    attention: np.ndarray | None
    responses: np.ndarray | None


class Predictions(NamedTuple):
    """What the network says of R recordings.

    Attributes:
      probabilities: [R, C] float32.
      maps: of each recording, or None where they were not asked for.
    """

    probabilities: np.ndarray
    maps: list[Maps] | None


def make_predict(apply: Callable[..., Any]) -> Predict:
    """The jitted inference step of a model's `apply`."""

    @partial(jax.jit, static_argnames="repeat")
    def predict(
        variables: Any, signal: jax.Array, bins: jax.Array | None, repeat: RepeatedBin | None = None
    ) -> tuple[jax.Array, Outputs]:
        outputs: Outputs = apply(variables, signal, train=False, bins=bins, repeat=repeat)
        return probabilities(outputs), outputs

    return predict


def predict_recordings(
    predict: Predict,
    variables: Any,
    signal: Callable[[int], np.ndarray],
    lengths: np.ndarray,
    *,
    spec: WindowSpec,
    normalization: Normalization,
    batch_size: int = 32,
    maps: bool = False,
    progress: Callable[[int], Any] | None = None,
) -> Predictions:
    """Class probabilities of whole recordings, and their maps.

    Args:
      predict: from `make_predict`.
      variables: of the model.
      signal: position → [N, 12] mV.
      lengths: [R] samples.
      spec: how recordings are cut, see `evaluation_windows`; a recording's probabilities are the mean over its
        windows.
      normalization: of the training part.
      batch_size: windows in a step. A smaller last batch is filled with zeros and cut off again: exact, because in
        inference no recording touches another.
      maps: give the maps, too.
      progress: called with the number of windows after each step.

    Raises:
      ValueError: there is no recording.
    """
    lengths = np.asarray(lengths)
    recordings, starts = evaluation_windows(lengths, spec)
    total: np.ndarray | None = None
    of_windows: list[Maps | None] = [None] * len(recordings)
    for rows, samples, repeat in _batches(lengths, recordings, spec, batch_size):
        # What a repeated bin stands for is left out at the beginning of the window.
        left_out = 0 if repeat is None else repeat.more * spec.samples_per_bin
        batch = gather_windows(signal, recordings[rows], starts[rows] + left_out, samples, normalization)
        bins = None
        real = spec.whole_bins(lengths[recordings[rows]])
        if spec.kind == "whole" and np.any(real * spec.samples_per_bin < samples):
            bins = np.ones(batch_size, np.int32)
            bins[: len(rows)] = real
        padded = np.pad(batch, ((0, batch_size - len(rows)), (0, 0), (0, 0)))
        found, outputs = predict(variables, jnp.asarray(padded), bins, repeat)
        result = np.asarray(found)[: len(rows)]
        if total is None:
            total = np.zeros((len(lengths), result.shape[1]), np.float64)
        np.add.at(total, recordings[rows], result)
        if maps:
            edges = bin_edges(samples + left_out)
            # One transfer for the batch, not one for every recording.
            attention, responses = (
                None if a is None else np.asarray(a) for a in (outputs.attention, outputs.responses)
            )
            for place, row in enumerate(rows):
                of_windows[row] = _on_own_time(
                    edges if bins is None else edges[: bins[place] + 1],
                    None if attention is None else attention[place],
                    None if responses is None else responses[place],
                    start=int(starts[row]),
                    length=int(lengths[recordings[row]]),
                )
        if progress is not None:
            progress(len(rows))
    if total is None:
        raise ValueError("no recordings to predict")
    windows = np.bincount(recordings, minlength=len(lengths))
    mean = (total / windows[:, None]).astype(np.float32)
    if not maps:
        return Predictions(mean, None)
    first = np.cumsum(windows) - windows
    made = [one for one in of_windows if one is not None]
    return Predictions(mean, [_joined(made[at : at + n]) for at, n in zip(first, windows, strict=True)])


def _on_own_time(
    edges: np.ndarray, attention: np.ndarray | None, responses: np.ndarray | None, *, start: int, length: int
) -> Maps:
    """The maps of a window that begins at sample `start` of a recording of `length` samples; padding cut off."""
    edges = np.clip(edges + start, 0, length)
    inside = np.flatnonzero(np.diff(edges) > 0)
    return Maps(
        edges[inside[0] : inside[-1] + 2],
        None if attention is None else attention[inside],
        None if responses is None else responses[inside],
    )


def _joined(windows: list[Maps]) -> Maps:
    """The maps of consecutive windows of one recording."""
    edges = np.concatenate([windows[0].edges, *(one.edges[1:] for one in windows[1:])])
    attention = [one.attention for one in windows if one.attention is not None]
    responses = [one.responses for one in windows if one.responses is not None]
    return Maps(
        edges, np.concatenate(attention) if attention else None, np.concatenate(responses) if responses else None
    )


def _batches(
    lengths: np.ndarray, recordings: np.ndarray, spec: WindowSpec, batch_size: int
) -> Iterator[tuple[np.ndarray, int, RepeatedBin | None]]:
    """(rows of the window list, samples of the batch, the bin that is repeated).

    Recordings whose windows are not cut go by length, in few shapes.
    """
    if spec.kind == "crop":
        for first in range(0, len(recordings), batch_size):
            yield np.arange(first, min(first + batch_size, len(recordings))), spec.length, None
        return
    samples = lengths[recordings]
    bins = spec.whole_bins(samples)
    order = np.argsort(samples if spec.kind == "pad" else bins, kind="stable")
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        if spec.kind == "pad":
            yield rows, *trim_padding(int(samples[rows[-1]]), spec.length)
            continue
        shortest, longest = int(bins[rows[0]]), int(bins[rows[-1]])
        yield rows, spec.samples_per_bin * (longest if shortest == longest else bucket(longest)), None
