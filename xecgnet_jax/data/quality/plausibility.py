"""Checks of one recording's signal for errors that would make a network's prediction unreliable.

Thresholds are set so that recordings of PTB-XL, CPSC2018 and other Challenge sources rarely cause a warning. How
rarely, and how many deliberately made errors do, is in docs/prediction.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from xecgnet_jax.data.io.fields import MILLIVOLTS
from xecgnet_jax.data.io.recording import RecordingWarning
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.quality.heartbeats import SHORTEST, filter_qrs_band, find_heartbeats
from xecgnet_jax.data.quality.lead_order import arm_warning, chest_lead_warning
from xecgnet_jax.data.quality.problems import ABSURD_LEVEL, SignalProblems, find_problems, typical_size

#: mV from peak to peak within a second, the median over leads. Recordings have 0.11 to 3.2.
SMALLEST, LARGEST = 0.05, 10.0

#: mV that a lead's median may be away from 0.
LARGEST_OFFSET: float = 2.0

#: Beats per minute below and above which a sampling rate is wrong, or there is no ECG.
SLOWEST, FASTEST = 25.0, 250.0

#: A sampling rate stated too low slows the heart and widens the QRS complex, one stated too high does the opposite.
#: Both together are rare in real hearts. A rate is too low where beats per minute are below SLOW and the QRS width
#: (ms) divided by them is above WIDE_FOR_SLOW; too high where the width is below NARROW and this ratio below
#: NARROW_FOR_FAST.
SLOW, WIDE_FOR_SLOW = 55.0, 2.46
NARROW, NARROW_FOR_FAST = 60.0, 0.5

#: Seconds; the longest recording of CPSC2018 has 144.
LONGEST: float = 180.0


def find_warnings(
    signal: np.ndarray, *, rate: float = RATE, units: str | None = None, absent: Sequence[str] = ()
) -> tuple[RecordingWarning, ...]:
    """Returns what looks wrong with one recording, [T, 12] float32, mV at `rate` Hz, leads in the standard order.

    `units` are what a user said that the file's numbers are, to name what would fit; None: the file says it itself.
    `absent` are leads that are 0 because the file lacks them.
    """
    return tuple(RecordingWarning(kind, text) for kind, text in _check(signal, rate, units, absent) if text)


def _check(
    signal: np.ndarray, rate: float, units: str | None, absent: Sequence[str]
) -> Iterator[tuple[str, str | None]]:
    """Yields (kind, text) of each check; the text is None or empty where nothing is wrong."""
    if absent:
        yield "missing-leads", f"without {', '.join(absent)}, taken as 0 mV: most networks were not trained for that"
    seconds = len(signal) / rate
    if seconds < SHORTEST:
        yield "short", f"only {seconds:.2g} s long: rhythms cannot be recognized, and less is checked"
    if seconds > LONGEST:
        yield "long", f"{seconds:.0f} s long: cut it, one label set for all of it means little"
    problems = find_problems(signal, rate)
    if flat := [lead for lead in problems.flat if lead not in absent]:
        yield "flat", f"nothing in {', '.join(flat)}: a lost electrode?"
    if not (moving := [lead for lead in LEADS if lead not in problems.flat]):
        return
    size = typical_size(signal, rate)
    if not SMALLEST <= size <= LARGEST:
        yield "units", _units_text(size, units)
    else:
        yield from _check_amplitudes(signal, problems)
    columns = {lead: signal[:, LEADS.index(lead)] for lead in moving}
    equal = [f"{a} and {b}" for a, b in combinations(moving, 2) if np.array_equal(columns[a], columns[b])]
    yield "identical", f"the same signal in {', '.join(equal)}" if equal else None
    yield "limb-leads", problems.limb_leads
    if seconds >= SHORTEST:
        band = filter_qrs_band(signal, rate)
        yield "rate", _rate_text(band, rate)
        yield "arms", arm_warning(band)
        yield "chest-leads", chest_lead_warning(band)


def _units_text(size: float, units: str | None) -> str:
    """Returns a text that names the units which would make the size that of an ECG, about 1 mV."""
    seen = f"units look wrong: leads have {size:.3g} mV from peak to peak, an ECG has 0.5 to 3"
    if units is None:
        return f"{seen}: correct the gain or units in its header"
    numbers = size / MILLIVOLTS[units.lower()]
    fitting = [other for other in ("mV", "uV", "V") if 0.2 <= numbers * MILLIVOLTS[other.lower()] <= 5]
    return f"{seen}: " + (f"if the file is in {fitting[0]}, give --units {fitting[0]}" if fitting else "check --units")


def _check_amplitudes(signal: np.ndarray, problems: SignalProblems) -> Iterator[tuple[str, str]]:
    """Yields (kind, text) of single leads with amplitudes that an ECG does not have."""
    if large := [lead for lead in problems.absurd if np.abs(signal[:, LEADS.index(lead)]).max() > ABSURD_LEVEL]:
        yield "amplitude", f"beyond {ABSURD_LEVEL:g} mV in {', '.join(large)}, not in all leads: an artifact"
    if quiet := [lead for lead in problems.absurd if lead not in large]:
        yield "flat", f"next to nothing in {', '.join(quiet)}: a lost electrode?"
    middle = np.median(signal, axis=0)
    if away := [lead for lead, value in zip(LEADS, middle, strict=True) if abs(value) > LARGEST_OFFSET]:
        seen = f"the baseline lies up to {float(np.abs(middle).max()):.2g} mV from 0 in {', '.join(away)}"
        yield "offset", f"{seen}: remove it by a high-pass filter"
    if problems.clipped:
        yield "clipped", f"{', '.join(problems.clipped)} stay at their largest value: cut off by the recorder"


def _rate_text(band: np.ndarray, rate: float) -> str | None:
    """Returns why the stated sampling rate seems wrong, given the filtered signal [T, 12], or None."""
    beats, per_minute, width = find_heartbeats(band, rate)
    if not len(beats):
        return "no heartbeats found: wrong sampling rate, or no ECG"
    if np.isnan(per_minute):
        seconds = len(band) / rate
        return f"one heartbeat in {seconds:.0f} s: wrong sampling rate, or no ECG" if seconds > 60 / SLOWEST else None
    seen = f"{per_minute:.0f} beats a minute with a QRS of {width:.0f} ms"
    ratio = width / per_minute
    if per_minute < SLOWEST or (per_minute < SLOW and ratio > WIDE_FOR_SLOW):
        return f"{seen}: is the true sampling rate higher than stated?"
    if per_minute > FASTEST or (width < NARROW and ratio < NARROW_FOR_FAST):
        return f"{seen}: is the true sampling rate lower than stated?"
    return None
