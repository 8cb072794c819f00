"""The positions of the planted events, in the codes of WFDB annotation files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xecgnet_jax.data.leads import RATE
from xecgnet_jax.data.simulation.heart import Heart
from xecgnet_jax.data.simulation.leads import to_twelve_leads
from xecgnet_jax.data.simulation.rhythms import Course

#: mV from which a deviation of the ST segment is annotated.
ST_THRESHOLD: float = 0.1


@dataclass(frozen=True, eq=False)
class Annotations:
    """Events of one recording in temporal order.

    Attributes:
      sample: [A] int64, sample at 500 Hz.
      symbol: [A] WFDB codes: beats N, L (left) and R (right bundle branch block), A (atrial premature), V (ventricular
        premature) at the peak of the QRS complex; "(" and ")" at its onset and end; p at the peak of a P wave; + a
        change of rhythm; s a change of the ST segment.
      aux: [A] notes: "(N" and "(AFIB" of +; of s, as in the European ST-T Database, "(ST2+" where the third lead's
        elevation ("-": depression) starts, "AST2+150" with its µV, "ST2+)" where it ends.
    """

    sample: np.ndarray
    symbol: tuple[str, ...]
    aux: tuple[str, ...]


def annotations_of(heart: Heart, course: Course, samples: int) -> Annotations:
    """Returns all events of a recording of `samples` samples; a beat counts if its QRS complex peaks in it."""
    last = samples - 1
    events = [(round(seconds * RATE), "+", note) for seconds, note in course.rhythms]
    ends = []
    conducted = {"LBBB": "L", "RBBB": "R", None: "N"}[heart.block]
    for beat in course.beats:
        qrs = (heart.ectopic if beat.origin == "ventricular" else heart.conducted).qrs
        p_wave = heart.p_wave(beat.origin)
        if 0 <= beat.p + p_wave.peak <= last / RATE:  # False where there is none (NaN).
            events.append((round((beat.p + p_wave.peak) * RATE), "p", ""))
        peak = round((beat.qrs + qrs.peak) * RATE)
        if 0 <= peak <= last:
            end = min(round((beat.qrs + qrs.duration) * RATE), last)
            symbol = {"atrial": "A", "ventricular": "V"}.get(beat.origin, conducted)
            events += [(max(round(beat.qrs * RATE), 0), "(", ""), (peak, symbol, ""), (end, ")", "")]
            if beat.origin != "ventricular":
                ends.append(end)
    # Of conducted beats: from the first to the last end of their QRS complexes.
    for lead, level in enumerate(to_twelve_leads(heart.conducted.st)):
        if abs(level) >= ST_THRESHOLD and ends:
            name = f"ST{lead}{'+' if level > 0 else '-'}"
            amount = f"A{name}{round(abs(level) * 1000)}"
            events += [(ends[0], "s", f"({name}"), (ends[len(ends) // 2], "s", amount), (ends[-1], "s", f"{name})")]
    events.sort(key=lambda event: event[0])
    at, symbols, notes = zip(*events, strict=True)
    return Annotations(np.array(at, dtype=np.int64), symbols, notes)
