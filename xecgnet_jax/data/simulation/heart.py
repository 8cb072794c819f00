"""One patient's heart, drawn to have given findings, and its beats → its dipole over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from xecgnet_jax.data.leads import RATE
from xecgnet_jax.data.simulation.injury import draw_injury
from xecgnet_jax.data.simulation.morphology import Loop, Ventricles, draw_conducted, draw_ectopic, draw_p_wave
from xecgnet_jax.data.simulation.rhythms import NEED_P_WAVES, Beat, Origin, Pacing

#: Seconds beside the recording in which beats may start or end, and from a QRS onset until its T wave has ended.
MARGIN, REPOLARIZATION = 1.5, 0.9

#: Finding → shortest and longest mean RR interval in seconds, which leaves room for the events in it; the first of
#: several findings counts. `OTHER_RR` is that beside any other finding.
RR_LIMITS: dict[str, tuple[float, float]] = {
    "fibrillation": (0.5, 0.95), "I-AVB": (0.78, 1.15), "PAC": (0.68, 1.05), "PVC": (0.68, 1.05), "Normal": (0.62, 1.0)
}  # fmt: skip
OTHER_RR = 0.56, 1.15

#: Directions of two oscillations of fibrillating atria, mV: the first mostly to the front, seen by V1 and II.
F_WAVES: tuple[tuple[float, float, float], ...] = ((-0.05, 0.05, -0.10), (0.02, 0.04, 0.02))


@dataclass(frozen=True, eq=False)
class Heart:
    """One patient's heart."""

    pacing: Pacing  #: its intervals
    conducted: Ventricles  #: shape of ventricular beats that the atria start
    ectopic: Ventricles  #: shape of those with a focus in a ventricle
    p_waves: dict[Origin, Loop]  #: of sinus and of atrial ectopic beats; no others have one
    f_waves: np.ndarray  #: [2, 3] directions of two independent oscillations of the atria while they fibrillate, in mV
    f_rate: float  #: Hz of these
    block: str | None  #: the blocked bundle branch, "LBBB" or "RBBB", or None


def draw_heart(rng: np.random.Generator, classes: frozenset[str]) -> Heart:
    """Draws a patient with these findings; what they leave open varies within the normal range."""
    shown = {"fibrillation"} if "AF" in classes and not classes & NEED_P_WAVES else classes
    rr = rng.uniform(*next((limits for name, limits in RR_LIMITS.items() if name in shown), OTHER_RR))
    block = next((name for name in ("LBBB", "RBBB") if name in classes), None)
    conducted = draw_conducted(rng, block, rr, draw_injury(rng, classes))
    sinus_p = draw_p_wave(rng, "sinus node")
    pr = rng.uniform(0.212, 0.32) if "I-AVB" in classes else rng.uniform(0.125, 0.193)
    return Heart(
        pacing=Pacing(
            rr=rr,
            pr=max(pr, sinus_p.duration + 0.04),  # The atrioventricular node takes its time.
            qt=conducted.qt,
            refractory=conducted.qrs.duration + 0.12,
            respiration=rng.uniform(0.18, 0.32),
            sinus_arrhythmia=(0.1 if "Normal" in classes else 0.04) * rng.beta(1.0, 2.0),
            irregularity=rng.uniform(0.005, 0.025),
            fibrillation_irregularity=rng.uniform(0.17, 0.3),
        ),
        conducted=conducted,
        ectopic=draw_ectopic(rng, block, rr),
        p_waves={
            "sinus": sinus_p,
            "atrial": draw_p_wave(rng, "low right atrium" if rng.random() < 0.6 else "left atrium"),
        },
        f_waves=(np.array(F_WAVES) + rng.normal(0.0, 0.01, (2, 3))) * rng.uniform(0.2, 0.85),
        f_rate=rng.uniform(4.8, 7.8),
        block=block,
    )


def beats_dipole(heart: Heart, beats: Sequence[Beat], samples: int) -> np.ndarray:
    """Returns the dipole [T, 3] in mV with P waves, QRS complexes, ST segments and T waves of all beats."""
    margin = round(MARGIN * RATE)
    dipole = np.zeros((samples + 2 * margin, 3))
    qrs = np.array([beat.qrs for beat in beats])
    # The QT interval follows the preceding RR interval, but slowly.
    stretch = 0.06 * (np.diff(qrs, prepend=qrs[0] - heart.pacing.rr) - heart.pacing.rr)
    for ventricular in (False, True):
        chosen = [i for i, beat in enumerate(beats) if (beat.origin == "ventricular") == ventricular]
        ventricles = heart.ectopic if ventricular else heart.conducted
        _add(dipole, qrs[chosen], ventricles.qrs.duration, ventricles.qrs.at)
        _add(dipole, qrs[chosen], REPOLARIZATION, partial(ventricles.repolarization, stretch=stretch[chosen]))
    for origin, wave in heart.p_waves.items():
        onsets = np.array([beat.p for beat in beats if beat.origin == origin])
        _add(dipole, onsets, wave.duration, wave.at)
    return dipole[margin : margin + samples]


def fibrillatory_waves(rng: np.random.Generator, heart: Heart, samples: int, start: float, end: float) -> np.ndarray:
    """Returns the dipole [T, 3] in mV of f waves from `start` to `end` (seconds): 4 to 9 Hz, rate and height vary."""
    time = np.arange(samples) / RATE
    waves = np.zeros((samples, 3))
    for number, vector in enumerate(heart.f_waves):
        rate = heart.f_rate * (1 + 0.07 * number) + _wander(rng, time, 0.4)
        phase = 2 * np.pi * (np.cumsum(rate) / RATE + rng.random())
        shape = np.sin(phase) + 0.3 * np.sin(2 * phase + rng.uniform(0, 2 * np.pi))
        waves += (shape * (1 + _wander(rng, time, 0.25)))[:, None] * vector
    gate = np.clip((time - start) / 0.1, 0, 1) * np.clip((end - time) / 0.1, 0, 1)  # Fades within 0.1 s.
    return waves * gate[:, None]


def move_by_breathing(rng: np.random.Generator, dipole: np.ndarray, respiration: float) -> np.ndarray:
    """Returns the dipole [T, 3] as breathing moves it: turned by up to 3° in the frontal plane, scaled by 4 %."""
    time = np.arange(len(dipole)) / RATE
    breath = np.sin(2 * np.pi * (respiration * time + rng.random()))
    angle = np.radians(3.0) * breath
    x, y, z = dipole.T
    turned = np.stack([x - angle * y, y + angle * x, z], axis=1)
    return turned * (1 + 0.04 * breath)[:, None]


def _add(dipole: np.ndarray, onsets: np.ndarray, seconds: float, shape: Callable[[np.ndarray], np.ndarray]) -> None:
    """Adds a shape, [N, W] seconds since each onset → [N, W, 3] mV, to a dipole that begins `MARGIN` before time 0."""
    first = np.ceil(onsets * RATE).astype(int)
    time = (first[:, None] + np.arange(int(seconds * RATE) + 1)) / RATE - onsets[:, None]
    for start, window in zip(first + round(MARGIN * RATE), shape(time), strict=True):
        dipole[start : start + len(window)] += window


def _wander(rng: np.random.Generator, time: np.ndarray, size: float) -> np.ndarray:
    """Returns [T] slow changes (0.1 to 0.7 Hz) of standard deviation `size`."""
    frequencies, phases = rng.uniform(0.1, 0.7, 3), rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * frequencies[:, None] * time + phases[:, None])
    return waves.sum(axis=0) * size * np.sqrt(2 / 3)
