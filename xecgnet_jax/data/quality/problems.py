"""What is odd about one recording's signal: flat and clipped leads, absurd amplitudes, limb leads that contradict."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.quality.lead_order import limb_lead_warning

#: Seconds that a lead must stay at its extreme value to count as clipped, and mV that this extreme must reach: below,
#: equal values in a row are a quiet baseline. Two equal samples in a row are none.
CLIPPED_SECONDS, CLIPPED_LEVEL = 0.02, 2.0

#: mV beyond which an amplitude is no ECG (a wrong gain, or a loose electrode), and of standard deviation below which a
#: lead is none (a wrong gain).
ABSURD_LEVEL, ABSURD_STD = 20.0, 1e-3

#: mV of `typical_size` beyond which units or gain are wrong beyond doubt. Recordings have 0.11 to 3.2.
WRONG_UNITS: float = 100.0


class SignalProblems(NamedTuple):
    """What is odd about one recording's signal."""

    digest: str  #: sha256 of the signal in whole µV; equal for equal signals
    flat: tuple[str, ...]  #: leads that never change
    clipped: tuple[str, ...]  #: leads that stay at their extreme value, see `CLIPPED_SECONDS` and `CLIPPED_LEVEL`
    absurd: tuple[str, ...]  #: leads with an amplitude that no ECG has, see `ABSURD_LEVEL` and `ABSURD_STD`
    #: How the limb leads contradict each other, None where they do not, or where one of them is flat or clipped.
    limb_leads: str | None = None
    extremes: tuple[float, ...] = ()  #: mV, the lowest and the highest value of each lead
    marked: str | None = None  #: what the file itself says against its leads


def find_problems(signal: np.ndarray, rate: float = RATE) -> SignalProblems:
    """Returns what is odd about the signal [T, 12] float32, in mV at `rate` Hz."""
    leads = np.ascontiguousarray(signal.T)
    low, high = leads.min(axis=1), leads.max(axis=1)
    flat = low == high
    run = max(3, round(CLIPPED_SECONDS * rate))
    clipped = np.array([_is_clipped(lead, run) for lead in leads]) & ~flat
    quiet = (leads.std(axis=1, dtype=np.float64) < ABSURD_STD) & ~flat
    absurd = (np.maximum(-low, high) > ABSURD_LEVEL) | quiet
    microvolts = np.rint(signal.astype(np.float64) * 1e3).astype(np.int64)
    flat_leads, clipped_leads, absurd_leads = (
        tuple(np.array(LEADS)[found].tolist()) for found in (flat, clipped, absurd)
    )
    limbs = None if (flat | clipped)[:6].any() else limb_lead_warning(signal)  # such leads break the relations anyway
    digest = hashlib.sha256(microvolts.tobytes()).hexdigest()
    return SignalProblems(digest, flat_leads, clipped_leads, absurd_leads, limbs, (*low.tolist(), *high.tolist()))


def typical_size(signal: np.ndarray, rate: float) -> float:
    """Returns the mV from peak to peak within a second of a signal [T, 12] that is not flat in all leads.

    The median over seconds, since artifacts change it little, and over the leads that change at all.
    """
    step = min(round(rate), len(signal))
    each_second = signal[: len(signal) // step * step].reshape(-1, step, signal.shape[1])
    of_leads = np.median(np.ptp(each_second, axis=1), axis=0)
    moving = np.ptp(signal, axis=0) > 0
    return float(np.median(of_leads[moving])) if moving.any() else 0.0


def _is_clipped(lead: np.ndarray, run: int) -> bool:
    """Tells whether a lead [T] stays at its smallest or largest value for `run` samples."""
    for extreme in (lead.min(), lead.max()):
        edges = np.flatnonzero(np.diff(lead == extreme, prepend=False, append=False))
        if abs(extreme) >= CLIPPED_LEVEL and np.max(edges[1::2] - edges[::2]) >= run:
            return True
    return False
