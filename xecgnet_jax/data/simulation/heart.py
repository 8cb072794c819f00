"""Beats → the heart's dipole over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from xecgnet_jax.data.leads import RATE
from xecgnet_jax.data.simulation.morphology import Loop, Ventricles
from xecgnet_jax.data.simulation.rhythms import Beat, Origin, Pacing

#: Seconds beside the recording in which beats may start or end.
MARGIN: float = 1.5

#: Seconds from a QRS onset that its ST segment and T wave may take.
REPOLARIZATION: float = 0.9


@dataclass(frozen=True, eq=False)
class Fibrillation:
    """Fibrillatory waves of the atria.

    Attributes:
      vectors: [2, 3] directions of two independent oscillations, in mV.
      frequency: Hz.
    """

    vectors: np.ndarray
    frequency: float


@dataclass(frozen=True, eq=False)
class Heart:
    """One patient's heart.

    Attributes:
      pacing: its intervals.
      conducted: shape of ventricular beats that the atria start; `ectopic` of those with a focus in a ventricle.
      sinus_p, ectopic_p: P waves.
      fibrillation: waves of the atria while they fibrillate.
      block: the blocked bundle branch, "LBBB" or "RBBB", or None.
    """

    pacing: Pacing
    conducted: Ventricles
    ectopic: Ventricles
    sinus_p: Loop
    ectopic_p: Loop
    fibrillation: Fibrillation
    block: str | None

    def ventricles(self, origin: Origin) -> Ventricles:
        """Returns the shape of ventricular beats of this origin."""
        return self.ectopic if origin == "ventricular" else self.conducted

    def p_wave(self, origin: Origin) -> Loop:
        """Returns the P wave of beats of this origin."""
        return self.ectopic_p if origin == "atrial" else self.sinus_p


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
    for origin in ("sinus", "atrial"):
        wave = heart.p_wave(origin)
        onsets = np.array([beat.p for beat in beats if beat.origin == origin])
        _add(dipole, onsets, wave.duration, wave.at)
    return dipole[margin : margin + samples]


def fibrillatory_waves(
    rng: np.random.Generator, fibrillation: Fibrillation, samples: int, start: float, end: float
) -> np.ndarray:
    """Returns the dipole [T, 3] in mV of f waves from `start` to `end` (seconds): 4 to 9 Hz, rate and height vary."""
    time = np.arange(samples) / RATE
    waves = np.zeros((samples, 3))
    for number, vector in enumerate(fibrillation.vectors):
        rate = fibrillation.frequency * (1 + 0.07 * number) + _wander(rng, time, 0.4)
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
