"""Whole recordings → class probabilities, and the maps on each recording's own time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.windows import WindowSpec, evaluation_windows
from xecgnet_jax.model import Outputs, RepeatedBin, bin_edges, bucket, probabilities, trim_padding

Floats = npt.NDArray[np.float32]
#: (variables, signal [B, T, 12], real bins [B] or None, repeated bin) → (probabilities [B, C], the network's outputs).
Predict = Callable[..., tuple[jax.Array, Outputs]]


class Maps(NamedTuple):
    """The maps of one recording on its own time. S attention bins.

    Attributes:
      edges: [S + 1], ascending: bin s stands for the samples edges[s] to edges[s + 1] of the recording. Samples before
        the first and after the last edge were not seen (pad: the beginning of a recording longer than the window; crop:
        the rest after the last whole window, unless windows overlap).
      attention: [S] in (0, 1), or None for the plain network.
      responses: [S, C], ≥ 0, or None for the plain network.
    """

    edges: npt.NDArray[np.int64]
    attention: Floats | None
    responses: Floats | None


class Predictions(NamedTuple):
    """Probabilities [R, C] of R recordings, and the maps of each, or None where they were not asked for."""

    probabilities: Floats
    maps: list[Maps] | None


def make_predict(apply: Callable[..., Outputs]) -> Predict:
    """Returns the jitted inference step of a model's `apply`."""

    @partial(jax.jit, static_argnames="repeat")
    def predict(
        variables: Any, signal: jax.Array, bins: jax.Array | None, repeat: RepeatedBin | None = None
    ) -> tuple[jax.Array, Outputs]:
        outputs = apply(variables, signal, train=False, bins=bins, repeat=repeat)
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
    """Returns the class probabilities of whole recordings, and their maps.

    Args:
      predict, variables: from `make_predict`, and of the model.
      signal, lengths: position → [N, 12] mV; [R] samples.
      spec: how recordings are cut, see `evaluation_windows`, and what the probabilities are of those of its windows.
      normalization: of the training part.
      batch_size: windows in a step. A smaller last batch is filled with zeros and cut off again: exact, because in
        inference no recording touches another.
      maps: return the maps, too.
      progress: called with the number of windows after each step.

    Raises:
      ValueError: there is no recording, or one is not of its length.
    """
    lengths = np.asarray(lengths)

    def checked(position: int) -> np.ndarray:
        samples = signal(position)
        if len(samples) != lengths[position]:
            raise ValueError(f"recording {position} has {len(samples)} samples, not {lengths[position]}")
        return samples

    if not len(lengths):
        raise ValueError("no recordings to predict")
    recordings, starts = evaluation_windows(lengths, spec)
    of_windows: dict[int, np.ndarray] = {}
    maps_of_windows: dict[int, Maps] = {}
    for rows, samples, repeat in _batches(lengths, recordings, spec, batch_size):
        # The samples that a repeated bin stands for are left out at the beginning of the window.
        left_out = 0 if repeat is None else repeat.more * spec.samples_per_bin
        batch = gather_windows(checked, recordings[rows], starts[rows] + left_out, samples, normalization)
        bins, real = None, spec.whole_bins(lengths[recordings[rows]])
        if spec.kind == "whole" and np.any(real * spec.samples_per_bin < samples):
            bins = np.ones(batch_size, np.int32)
            bins[: len(rows)] = real
        padded = np.pad(batch, ((0, batch_size - len(rows)), (0, 0), (0, 0)))
        found, outputs = predict(variables, jnp.asarray(padded), bins, repeat)
        of_windows |= zip(rows.tolist(), np.asarray(found), strict=False)
        if maps:
            edges = bin_edges(samples + left_out, spec.pools)
            # One transfer for the batch, not one for every recording.
            of_batch = jax.device_get((outputs.attention, outputs.responses))
            for place, row in enumerate(rows.tolist()):
                of_window = jax.tree.map(itemgetter(place), of_batch)
                own_edges = edges if bins is None else edges[: bins[place] + 1]
                maps_of_windows[row] = _on_own_time(own_edges + starts[row], of_window, lengths[recordings[row]])
        if progress is not None:
            progress(len(rows))
    # The windows of each recording.
    windows = [one.tolist() for one in np.split(np.arange(len(recordings)), np.cumsum(np.bincount(recordings))[:-1])]
    of_recordings = [np.array([of_windows[row] for row in rows], np.float64) for rows in windows]
    together = [one.mean(axis=0) if spec.over == "mean" else one.max(axis=0) for one in of_recordings]
    joined = [_join_windows([maps_of_windows[row] for row in rows]) for rows in windows] if maps else None
    return Predictions(np.array(together, np.float32), joined)


def gather_windows(
    signals: Callable[[int], np.ndarray],
    recordings: np.ndarray,
    starts: np.ndarray,
    samples: int,
    normalization: Normalization,
) -> np.ndarray:
    """Returns windows as the network sees them, [B, T, 12] float32, normalized; zeros outside the recordings.

    `signals` maps recordings to [N, 12] mV; recordings and starts are [B], see `evaluation_windows`; `samples` is T.
    """
    windows = np.zeros((len(recordings), samples, len(normalization.mean)), np.float32)
    for row, (recording, start) in enumerate(zip(recordings.tolist(), starts.tolist(), strict=True)):
        first = max(0, -start)
        part = signals(recording)[max(0, start) : start + samples]
        windows[row, first : first + len(part)] = (part - normalization.mean) / normalization.std
    return windows


def _on_own_time(edges: np.ndarray, maps: tuple[Floats | None, Floats | None], length: int) -> Maps:
    """Returns the maps of a window on a recording of `length` samples, on which its bins have these edges [S + 1].

    Bins outside the recording are padding, and left out.
    """
    edges = np.clip(edges, 0, length)
    inside = np.flatnonzero(np.diff(edges) > 0)
    return Maps(edges[inside[0] : inside[-1] + 2], *jax.tree.map(itemgetter(inside), maps))


def nearest_windows(edges: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns for windows of one recording which of their bins stand for it where windows overlap, each [S] bool.

    Two windows that follow each other meet where a bin of the later one begins, as near as can be to the middle of what
    both see: of the earlier one count the bins that begin before, of the later one those that begin there or behind.
    `edges` are of each window's bins, [S + 1] samples.
    """
    middles = [(one[-1] + other[0]) / 2 for one, other in itertools.pairwise(edges)]
    meet = [own[:-1][np.argmin(np.abs(own[:-1] - middle))] for own, middle in zip(edges[1:], middles, strict=True)]
    limits = itertools.pairwise([-np.inf, *itertools.accumulate(meet, max), np.inf])
    return [(own[:-1] >= low) & (own[:-1] < high) for own, (low, high) in zip(edges, limits, strict=True)]


def _join_windows(windows: list[Maps]) -> Maps:
    """Returns the maps of the windows of one recording as one."""
    nearest = nearest_windows([one.edges for one in windows])
    begins = [one.edges[:-1][kept] for one, kept in zip(windows, nearest, strict=True)]
    parts = [
        jax.tree.map(itemgetter(kept), (one.attention, one.responses))
        for one, kept in zip(windows, nearest, strict=True)
    ]
    joined = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    return Maps(np.concatenate([*begins, windows[-1].edges[-1:]]), *joined)


def _batches(
    lengths: np.ndarray, recordings: np.ndarray, spec: WindowSpec, batch_size: int
) -> Iterator[tuple[np.ndarray, int, RepeatedBin | None]]:
    """Yields (rows of the window list, samples of the batch, the bin that is repeated).

    Recordings whose windows are not cut are sorted by length, so that batches have few shapes.
    """
    samples = lengths[recordings]
    bins = spec.whole_bins(samples)
    order = np.argsort({"crop": np.zeros_like(bins), "pad": samples, "whole": bins}[spec.kind], kind="stable")
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        if spec.kind == "crop":
            yield rows, spec.length, None
        elif spec.kind == "pad":
            yield rows, *trim_padding(int(samples[rows[-1]]), spec.length, spec.pools)
        else:
            shortest, longest = int(bins[rows[0]]), int(bins[rows[-1]])
            yield rows, spec.samples_per_bin * (longest if shortest == longest else bucket(longest)), None
