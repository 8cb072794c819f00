"""Where the planted events lie, in the codes of WFDB annotation files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.heart import Heart
from xecgnet_jax.data.simulation.leads import twelve_leads
from xecgnet_jax.data.simulation.rhythms import Beat, Course

#: mV from which a deviation of the ST segment is annotated.
ST_THRESHOLD: float = 0.1


@dataclass(frozen=True, eq=False)
class Annotations:
    """Events of one recording in temporal order.

    Attributes:
      sample: [A] int64, sample at 500 Hz.
      symbol: [A] WFDB codes: beats N, L (left) and R (right bundle branch block), A (atrial premature),
        V (ventricular premature) at the peak of the QRS complex; "(" and ")" at its onset and end; p at the
        peak of a P wave; + a change of rhythm; s a change of the ST segment.
      aux: [A] notes: "(N" and "(AFIB" of +; of s, as in the European ST-T Database, "(ST2+" where the third
        lead's elevation ("-": depression) starts, "AST2+150" with its µV, "ST2+)" where it ends.
    """

    sample: np.ndarray
    symbol: tuple[str, ...]
    aux: tuple[str, ...]


def annotations_of(heart: Heart, course: Course, samples: int) -> Annotations:
    """All events of a recording of `samples` samples at 500 Hz; a beat counts if its QRS complex peaks in it."""
    last = samples - 1
    events = [(round(seconds * RATE), "+", note) for seconds, note in course.rhythms]
    ends = []
    for beat in course.beats:
        qrs, p_wave = heart.ventricles(beat.origin).qrs, heart.p_wave(beat.origin)
        if 0 <= beat.p + p_wave.peak <= last / RATE:  # False where there is none (NaN).
            events.append((round((beat.p + p_wave.peak) * RATE), "p", ""))
        peak = round((beat.qrs + qrs.peak) * RATE)
        if 0 <= peak <= last:
            end = min(round((beat.qrs + qrs.duration) * RATE), last)
            events.append((max(round(beat.qrs * RATE), 0), "(", ""))
            events.append((peak, _symbol(heart, beat), ""))
            events.append((end, ")", ""))
            if beat.origin != "ventricular":
                ends.append(end)
    events += _st_events(heart, ends)
    events.sort(key=lambda event: event[0])
    sample, symbol, aux = zip(*events, strict=True)
    return Annotations(np.array(sample, dtype=np.int64), symbol, aux)


def _symbol(heart: Heart, beat: Beat) -> str:
    conducted = {"LBBB": "L", "RBBB": "R", None: "N"}[heart.block]
    return {"atrial": "A", "ventricular": "V"}.get(beat.origin, conducted)


def _st_events(heart: Heart, ends: Sequence[int]) -> list[tuple[int, str, str]]:
    """ST deviations of conducted beats, from the first to the last end of their QRS complexes."""
    levels = twelve_leads(heart.conducted.st[None])[0]
    events = []
    for lead in range(len(LEADS)):
        if abs(levels[lead]) >= ST_THRESHOLD and ends:
            name = f"ST{lead}{'+' if levels[lead] > 0 else '-'}"
            events.append((ends[0], "s", f"({name}"))
            events.append((ends[len(ends) // 2], "s", f"A{name}{round(abs(levels[lead]) * 1000)}"))
            events.append((ends[-1], "s", f"{name})"))
    return events
