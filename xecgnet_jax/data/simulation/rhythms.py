"""Draws the times and origins of heartbeats: sinus rhythm with its variability, ectopic beats, fibrillation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

#: The origin of a beat: the sinus node, an atrial focus, a ventricular focus, or fibrillating atria.
Origin = Literal["sinus", "atrial", "ventricular", "fibrillation"]


class Beat(NamedTuple):
    """One beat; times in seconds from the start of the recording."""

    origin: Origin  #: where it starts
    qrs: float  #: onset of the QRS complex
    p: float = float("nan")  #: onset of the P wave, NaN where there is none


@dataclass(frozen=True)
class Pacing:
    """The intervals of one heart."""

    rr: float  #: mean RR interval, seconds
    pr: float  #: PR interval, seconds
    qt: float  #: QT interval, seconds: no ventricular ectopic beat starts before it has passed
    refractory: float  #: seconds from a QRS onset before which no ectopic P wave starts
    respiration: float  #: breaths per second; inspiration quickens the sinus rhythm
    sinus_arrhythmia: float  #: amplitude of that, as a part of `rr`
    irregularity: float  #: standard deviation of the sinus rhythm beside it, as a part of `rr`
    fibrillation_irregularity: float  #: standard deviation of the RR intervals in fibrillation, as a part of `rr`

    def sinus_interval(self, rng: np.random.Generator, time: float) -> float:
        """Draws the seconds to the next sinus beat."""
        breath = np.sin(2 * np.pi * self.respiration * time)
        return self.rr * (1 + self.sinus_arrhythmia * breath + rng.normal(0.0, self.irregularity))


@dataclass(frozen=True)
class Course:
    """The events of one recording."""

    beats: tuple[Beat, ...]  #: in temporal order, from before its start until after its end
    rhythms: tuple[tuple[float, str], ...]  #: (seconds, note of a WFDB annotation) of each change of rhythm
    fibrillating: tuple[float, float] | None = None  #: start and end of atrial fibrillation, in seconds, or None


#: Findings that need P waves: beside them, fibrillation comes in the course of the recording.
NEED_P_WAVES: frozenset[str] = frozenset({"I-AVB", "PAC"})

#: Findings that are ectopic beats, and where these start.
ECTOPIC_CLASSES: dict[str, Origin] = {"PAC": "atrial", "PVC": "ventricular"}


@dataclass
class Ectopy:
    """The ectopic beats that are to come: from one per recording to one after every beat (bigeminy)."""

    #: Origin → probability after each beat that is not itself ectopic.
    chance: dict[Origin, float] = field(default_factory=dict)
    #: Origin → time in seconds by which the first one must have come, so that no recording lacks what its label says.
    due: dict[Origin, float] = field(default_factory=dict)

    def after(self, rng: np.random.Generator, time: float) -> Origin | None:
        """Draws the origin of an ectopic beat that follows the beat at `time`; None if the next one is not ectopic."""
        for origin, due in self.due.items():
            if time >= due:
                del self.due[origin]
                return origin
        for origin, chance in self.chance.items():
            if rng.random() < chance:
                return origin
        return None


def draw_course(rng: np.random.Generator, pacing: Pacing, classes: frozenset[str], duration: float) -> Course:
    """Draws the beats of a recording of `duration` seconds with these findings."""
    start, end = -rng.uniform(0.6, 1.4), duration + 0.5
    rhythms, fibrillating = [(0.0, "(N")], None
    change = rng.uniform(0.5, 0.65) * duration if "AF" in classes and classes & NEED_P_WAVES else duration
    ectopy = Ectopy()
    origins = [origin for name, origin in ECTOPIC_CLASSES.items() if name in classes]
    for origin in origins:
        burden = 1.0 if rng.random() < 0.1 else rng.uniform(0.08, 0.4)
        ectopy.chance[origin] = burden / len(origins)
        # Time is left for an ectopic beat of the other origin, the pauses after both, and the beat itself.
        ectopy.due[origin] = max(0.0, min(rng.uniform(0.15, 0.5) * change, change - 4.6 * pacing.rr))
    if "AF" not in classes:
        beats = draw_sinus_rhythm(rng, pacing, ectopy, start, end)
    elif not classes & NEED_P_WAVES:
        beats = draw_fibrillation(rng, pacing, ectopy, start, end)
        rhythms, fibrillating = [(0.0, "(AFIB")], (start, end)
    else:
        beats = draw_sinus_rhythm(rng, pacing, ectopy, start, change)
        onset = beats[-1].qrs + 0.15
        beats += draw_fibrillation(rng, pacing, ectopy, beats[-1].qrs + rng.uniform(0.5, 0.7), end)
        rhythms, fibrillating = [*rhythms, (onset, "(AFIB")], (onset, end)
    return Course(tuple(beat for beat in beats if beat.qrs < end), tuple(rhythms), fibrillating)


def draw_sinus_rhythm(rng: np.random.Generator, pacing: Pacing, ectopy: Ectopy, start: float, end: float) -> list[Beat]:
    """Draws beats from `start` to `end` (seconds).

    An atrial ectopic beat resets the sinus node: the pause after it is hardly longer than an RR interval, so the two
    intervals around it are shorter than two RR (not compensatory). A ventricular one leaves the sinus node alone: the
    next sinus beat is blocked and the one after it comes on time (fully compensatory).
    """
    beats = []
    p = start
    while p < end:
        qrs = p + pacing.pr
        beats.append(Beat("sinus", qrs, p))
        interval = pacing.sinus_interval(rng, p)
        origin = ectopy.after(rng, qrs)
        if origin == "atrial":
            early = max(rng.uniform(0.55, 0.8) * min(interval, pacing.rr), pacing.pr + pacing.refractory)
            p += early
            beats.append(Beat("atrial", p + pacing.pr * rng.uniform(0.9, 1.1), p))
            interval = pacing.rr * rng.uniform(1.0, 1.1)
        elif origin == "ventricular":
            beats.append(Beat("ventricular", qrs + _draw_coupling(rng, pacing, interval)))
            interval += pacing.sinus_interval(rng, p + interval)
        p += interval
    return beats


def draw_fibrillation(rng: np.random.Generator, pacing: Pacing, ectopy: Ectopy, start: float, end: float) -> list[Beat]:
    """Draws beats from `start` to `end` (seconds): no P waves, RR intervals without memory (gamma-distributed)."""
    beats = []
    qrs = start
    while qrs < end:
        beats.append(Beat("fibrillation", qrs))
        if ectopy.after(rng, qrs) == "ventricular":
            qrs += _draw_coupling(rng, pacing, pacing.rr)
            beats.append(Beat("ventricular", qrs))
            qrs += pacing.rr * rng.uniform(0.3, 0.6)
        shape = 1 / pacing.fibrillation_irregularity**2
        qrs += max(rng.gamma(shape, pacing.rr / shape), 0.30)
    return beats


def _draw_coupling(rng: np.random.Generator, pacing: Pacing, interval: float) -> float:
    """Draws the seconds from a QRS complex to the ventricular ectopic beat after it: early, but not on its T wave."""
    return min(max(rng.uniform(0.5, 0.72) * interval, pacing.qt + 0.02), 0.8 * interval)
