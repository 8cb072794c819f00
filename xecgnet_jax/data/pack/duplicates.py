"""Which recordings of a corpus are one ECG, also where it was exported twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

#: mV by which two exports of one ECG may differ: formats round to steps of 1 to 5 µV, and filters settle.
TOLERANCE = 0.025
#: Share of the shorter export that the longer one must hold: formats cut and pad recordings at their ends.
OVERLAP = 0.8


def find_duplicates(
    digests: Sequence[str], extremes: np.ndarray, signal: Callable[[int], np.ndarray]
) -> list[list[int]]:
    """Returns groups of recordings that are one ECG, each ascending, in the order of their first.

    These have one digest, or are equal within `TOLERANCE` in all leads where they overlap. To be found, both must hold
    the lowest and the highest value of every lead.

    Args:
      digests: [R] of the signals; equal ones are equal recordings.
      extremes: [R, 24] mV, the lowest and the highest value of each lead.
      signal: row → [T, 12] mV, of all at one rate.
    """
    from scipy.spatial import KDTree  # like all of scipy where it is used: programs that read packs need none

    firsts: dict[str, int] = {}
    same = [(firsts.setdefault(digest, row), row) for row, digest in enumerate(digests)]
    rows = np.fromiter(firsts.values(), np.int64)
    rows = rows[np.ptp(extremes[rows], axis=1) > 2 * TOLERANCE]  # not those of electrodes that lay on a table
    near = KDTree(extremes[rows]).query_pairs(TOLERANCE, p=np.inf, output_type="ndarray") if len(rows) else []
    pairs = [(int(rows[one]), int(rows[other])) for one, other in near]
    return group_rows(len(digests), [*same, *(pair for pair in pairs if is_same_ecg(*map(signal, pair)))])


def is_same_ecg(one: np.ndarray, other: np.ndarray) -> bool:
    """Tells whether two signals [T, 12] of one rate, in mV, are equal where they overlap, but for padded ends."""
    from scipy.signal import correlate

    one, other = (_without_padding(signal.astype(np.float64)) for signal in (one, other))
    lead = int(np.argmax(np.ptp(one, axis=0)))
    centered = (signal[:, lead] - signal[:, lead].mean() for signal in (one, other))
    begin = int(correlate(*centered, method="fft").argmax()) - (len(other) - 1)  # of the other one, in the first
    common = min(len(one), begin + len(other)) - max(0, begin)
    if common < OVERLAP * min(len(one), len(other)):
        return False
    first, second = one[max(0, begin) :][:common], other[max(0, -begin) :][:common]
    return bool(np.abs(first - second).max() <= TOLERANCE)


def _without_padding(signal: np.ndarray) -> np.ndarray:
    """Returns the signal [T, 12] without the ends in which no lead changes, and a sample at each end."""
    changes = np.flatnonzero((np.diff(signal, axis=0) != 0).any(axis=1))
    return signal[changes[0] + 1 : changes[-1] + 1] if len(changes) else signal


def group_rows(rows: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Returns the groups of two or more that pairs of R rows connect, each ascending, in the order of their first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = np.array(list(pairs), np.int64).reshape(-1, 2).T
    _, labels = connected_components(coo_array((np.ones(len(one), bool), (one, other)), shape=(rows, rows)))
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted(group.tolist() for group in groups if len(group) > 1)
