"""What in one recording's signal looks wrong, so that what a network says of it should not be believed unseen.

Thresholds are set so that recordings of PTB-XL, CPSC2018 and other Challenge sources rarely raise one; how rarely, and
how many provoked errors do, is in docs/prediction.md.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from xecgnet_jax.data.io.wfdb_header import MILLIVOLTS
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.pack.audit import ABSURD_LEVEL, findings_of
from xecgnet_jax.data.quality.heartbeats import SHORTEST, banded, rhythm_of
from xecgnet_jax.data.quality.lead_order import arms_suspicion, chest_suspicion, limb_suspicion

#: mV from peak to peak in a second, in the middle one of the leads. Recordings have 0.11 to 3.2.
SMALLEST, LARGEST = 0.05, 10.0

#: mV that a lead's middle value may be away from 0.
LARGEST_OFFSET: float = 2.0

#: Beats per minute below and above which a sampling rate is wrong, or there is no ECG.
SLOWEST, FASTEST = 25.0, 250.0

#: A rate stated too low slows the heart and widens the QRS complex, one too high does the opposite. Both together are
#: rare in hearts: beats per minute below which, and milliseconds of QRS per beat a minute above which; milliseconds of
#: QRS below which, and per beat a minute below which.
SLOW, WIDE_FOR_SLOW = 55.0, 2.46
NARROW, NARROW_FOR_FAST = 60.0, 0.5

#: Seconds; the longest recording of CPSC2018 has 144.
LONGEST: float = 180.0


class Suspicion(NamedTuple):
    """One thing that looks wrong.

    Attributes:
      kind: a word for counting and sorting: units, amplitude, offset, rate, limb-leads, arms, chest-leads, identical,
        flat, clipped, short, long; readers of files add more.
      text: what was seen, and what to do. It has no "; ", which stands between several of them.
    """

    kind: str
    text: str


def suspicions_of(signal: np.ndarray, *, units: str | None = None) -> tuple[Suspicion, ...]:
    """Looks through one recording.

    Args:
      signal: [T, 12] float32, mV at 500 Hz, leads in the standard order.
      units: what a user said that the file's numbers are, to say what would fit; None: the file says it itself.
    """
    found = _of_duration(len(signal) / RATE)
    findings = findings_of(signal)
    if findings.flat:
        found.append(Suspicion("flat", f"nothing in {_and(findings.flat)}: a lost electrode?"))
    moving = [lead for lead in LEADS if lead not in findings.flat]
    if not moving:
        return tuple(found)
    size = _size(signal[:, [LEADS.index(lead) for lead in moving]])
    if not SMALLEST <= size <= LARGEST:
        found.append(Suspicion("units", _units_text(size, units)))
    else:
        found += _of_amplitudes(signal, findings.absurd, findings.clipped)
    found += _of_equals(signal, moving)
    if not {*findings.flat, *findings.clipped} & set(LEADS[:6]):  # they break the relations, and have been named
        found += _said("limb-leads", limb_suspicion(signal))
    if len(signal) >= SHORTEST * RATE:
        band = banded(signal)
        found += _said("rate", _rate_text(band))
        found += _said("arms", arms_suspicion(band))
        found += _said("chest-leads", chest_suspicion(band))
    return tuple(found)


def _of_duration(seconds: float) -> list[Suspicion]:
    if seconds < SHORTEST:
        return [Suspicion("short", f"only {seconds:.2g} s long: rhythms cannot be told, and less is checked")]
    if seconds > LONGEST:
        return [Suspicion("long", f"{seconds:.0f} s long: cut it, one label set for all of it means little")]
    return []


def _size(signal: np.ndarray) -> float:
    """mV from peak to peak in a second: the median over seconds, then over leads. Artifacts move it little."""
    step = min(RATE, len(signal))
    seconds = signal[: len(signal) // step * step].reshape(-1, step, signal.shape[1])
    return float(np.median(np.median(np.ptp(seconds, axis=1), axis=0)))


def _units_text(size: float, units: str | None) -> str:
    """Which units would make the size that of an ECG, 1 mV or so."""
    seen = f"units look wrong: leads have {size:.3g} mV from peak to peak, an ECG has 0.5 to 3"
    if units is None:
        return f"{seen}: correct the gain or units in its header"
    numbers = size / MILLIVOLTS[units.lower()]
    fitting = [other for other in ("mV", "uV", "V") if 0.2 <= numbers * MILLIVOLTS[other.lower()] <= 5]
    return f"{seen}: " + (f"if the file is in {fitting[0]}, give --units {fitting[0]}" if fitting else "check --units")


def _of_amplitudes(signal: np.ndarray, absurd: tuple[str, ...], clipped: tuple[str, ...]) -> list[Suspicion]:
    found = []
    large = [lead for lead in absurd if np.abs(signal[:, LEADS.index(lead)]).max() > ABSURD_LEVEL]
    if large:
        text = f"beyond {ABSURD_LEVEL:g} mV in {_and(large)}, not in all leads: an artifact"
        found.append(Suspicion("amplitude", text))
    if quiet := [lead for lead in absurd if lead not in large]:
        found.append(Suspicion("flat", f"next to nothing in {_and(quiet)}: a lost electrode?"))
    middle = np.median(signal, axis=0)
    if away := [lead for lead, value in zip(LEADS, middle, strict=True) if abs(value) > LARGEST_OFFSET]:
        largest = float(np.abs(middle).max())
        text = f"the baseline lies up to {largest:.2g} mV from 0 in {_and(away)}: take out the offset (high-pass)"
        found.append(Suspicion("offset", text))
    if clipped:
        found.append(Suspicion("clipped", f"{_and(clipped)} stay at their largest value: cut off by the recorder"))
    return found


def _of_equals(signal: np.ndarray, moving: list[str]) -> list[Suspicion]:
    columns = {lead: signal[:, LEADS.index(lead)] for lead in moving}
    pairs = [f"{a} and {b}" for a, b in combinations(moving, 2) if np.array_equal(columns[a], columns[b])]
    return [Suspicion("identical", f"the same signal in {', '.join(pairs)}")] if pairs else []


def _rate_text(band: np.ndarray) -> str | None:
    rhythm = rhythm_of(band)
    if not len(rhythm.beats):
        return "no heartbeats found: wrong sampling rate, or no ECG"
    if np.isnan(rhythm.per_minute):
        seconds = len(band) / RATE
        return f"one heartbeat in {seconds:.0f} s: wrong sampling rate, or no ECG" if seconds > 60 / SLOWEST else None
    seen = f"{rhythm.per_minute:.0f} beats a minute with a QRS of {rhythm.width:.0f} ms"
    ratio = rhythm.width / rhythm.per_minute
    if rhythm.per_minute < SLOWEST or (rhythm.per_minute < SLOW and ratio > WIDE_FOR_SLOW):
        return f"{seen}: is the true sampling rate higher than stated?"
    if rhythm.per_minute > FASTEST or (rhythm.width < NARROW and ratio < NARROW_FOR_FAST):
        return f"{seen}: is the true sampling rate lower than stated?"
    return None


def _said(kind: str, text: str | None) -> list[Suspicion]:
    return [] if text is None else [Suspicion(kind, text)]


def _and(leads: tuple[str, ...] | list[str]) -> str:
    return ", ".join(leads)
