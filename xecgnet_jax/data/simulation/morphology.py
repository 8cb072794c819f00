"""The shapes of one heart's beats, as dipole loops that vary from patient to patient.

Vectors are [X, Y, Z] in mV in Frank's axes: X to the patient's left, Y to the feet, Z to the back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xecgnet_jax.data.simulation.injury import Injury


@dataclass(frozen=True, eq=False)
class Loop:
    """A depolarization: a sum of Gaussian bumps along fixed directions, which together draw a loop."""

    duration: float  #: seconds from its onset to its end
    center: np.ndarray  #: [K] centers of the bumps, in parts of `duration`
    width: np.ndarray  #: [K] their standard deviations, in parts of `duration`
    vector: np.ndarray  #: [K, 3] their heights in mV

    def at(self, time: np.ndarray) -> np.ndarray:
        """Returns [.., 3] mV at `time` [..] seconds since its onset; zero outside it."""
        part = time / self.duration
        bumps = np.exp(-0.5 * ((part[..., None] - self.center) / self.width) ** 2)
        ends = smooth_step(part / 0.08) * smooth_step((1 - part) / 0.08)
        return (bumps @ self.vector) * ends[..., None]

    @cached_property
    def peak(self) -> float:
        """Number of seconds from its onset to its greatest magnitude."""
        time = np.arange(0.0, self.duration, 0.001)
        return float(time[np.linalg.norm(self.at(time), axis=1).argmax()])


@dataclass(frozen=True, eq=False)
class Ventricles:
    """The shape of ventricular beats of one kind of activation."""

    qrs: Loop  #: their depolarization
    qt: float  #: seconds from the onset of the QRS complex to the end of the T wave
    t: np.ndarray  #: [3] peak of the T wave in mV
    st: np.ndarray  #: [3] ST segment 60 ms after the J point, in mV
    st_slope: float  #: change of the ST segment over 100 ms, as a part of `st`

    def repolarization(self, time: np.ndarray, stretch: np.ndarray) -> np.ndarray:
        """Returns [N, W, 3] mV of ST segment and T wave at `time` [N, W] seconds since the QRS onset.

        The T wave rises slower than it falls and peaks `stretch` [N] seconds later than usual. The ST segment starts at
        the J point and ends under the T wave.
        """
        j_point = self.qrs.duration
        falling = 0.085 * self.qt
        peak = self.qt - 2.4 * falling + stretch[:, None]
        width = np.where(time < peak, 0.27 * (peak - j_point), falling)
        t_wave = np.exp(-0.5 * ((time - peak) / width) ** 2) * smooth_step((time - j_point) / 0.08)
        level = 1 + self.st_slope * (time - j_point - 0.06) / 0.1
        start = smooth_step((time - j_point + 0.05) / 0.06)
        segment = level * start * smooth_step((peak + falling - time) / 0.12)
        return t_wave[..., None] * self.t + segment[..., None] * self.st


def smooth_step(x: np.ndarray) -> np.ndarray:
    """Returns values that rise from 0 at x = 0 to 1 at x = 1 without a kink."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


# Rows of the tables: center, width (parts of the QRS duration), X, Y, Z (mV).

#: Septum (to the right and front), apex, free wall, base (to the back), crista: qR in V6, rS in V1.
NORMAL_QRS = [
    [0.17, 0.07, -0.14, -0.04, -0.26],
    [0.35, 0.08, 0.40, 0.25, -0.35],
    [0.49, 0.09, 1.05, 0.75, 0.30],
    [0.67, 0.09, 0.20, 0.05, 0.72],
    [0.84, 0.07, -0.18, -0.12, 0.20],
]

#: The left ventricle as above, then alone and slowly the right one, to the right and front: R' in V1, broad S in I,
#: V6.
RBBB_QRS = [
    [0.11, 0.045, -0.14, -0.04, -0.26],
    [0.22, 0.055, 0.40, 0.25, -0.30],
    [0.31, 0.060, 1.00, 0.60, 0.30],
    [0.42, 0.060, 0.25, 0.10, 0.55],
    [0.61, 0.100, -0.45, 0.05, -0.55],
    [0.79, 0.095, -0.45, 0.00, -0.36],
]

#: The septum from right to left (no q in I and V6), then slowly the left ventricle, to the left and back, in two humps:
#: notched R in I, aVL, V5, V6; deep QS or rS in V1 to V3.
LBBB_QRS = [
    [0.12, 0.060, 0.22, 0.05, -0.12],
    [0.32, 0.110, 0.95, 0.25, 0.25],
    [0.50, 0.160, 0.35, 0.08, 0.75],
    [0.69, 0.110, 0.98, 0.08, 0.30],
]

Vector = tuple[float, float, float]

#: Ventricular origin → vector of the QRS complex. An ectopic beat of the right ventricle resembles a left bundle branch
#: block, one of the left ventricle a right one.
ECTOPIC_ORIGINS: dict[str, Vector] = {
    "right outflow tract": (0.10, 1.25, 0.85),
    "right apex": (0.90, -0.90, 0.75),
    "left free wall": (-0.85, 0.55, -0.85),
    "left fascicle": (-0.70, -0.85, -0.80),
}

#: Bumps of an ectopic QRS complex: center, width, part of the origin's vector.
ECTOPIC_QRS = np.array([[0.17, 0.08, 0.15], [0.40, 0.14, 0.85], [0.63, 0.13, 0.65]])

#: Where a P wave starts → its table. From the sinus node: right atrium (to the feet and front), then left atrium (to
#: the left and back), upright in II, biphasic in V1. From low in the right atrium: inverted in II, III, aVF. From the
#: left atrium: inverted in I and V6, upright in V1.
P_WAVES: dict[str, np.ndarray] = {
    "sinus node": np.array([[0.36, 0.16, 0.040, 0.105, -0.060], [0.64, 0.17, 0.080, 0.070, 0.050]]),
    "low right atrium": np.array([[0.36, 0.16, 0.040, -0.090, -0.020], [0.64, 0.17, 0.030, -0.110, 0.020]]),
    "left atrium": np.array([[0.36, 0.16, -0.080, 0.050, -0.060], [0.64, 0.17, -0.070, 0.060, -0.070]]),
}

#: Blocked bundle branch → QRS table, range of QRS durations (seconds), peak of the T wave, ST segment (None: near 0).
CONDUCTED: dict[str | None, tuple[list[list[float]], tuple[float, float], Vector, Vector | None]] = {
    None: (NORMAL_QRS, (0.082, 0.106), (0.36, 0.27, -0.20), None),
    "RBBB": (RBBB_QRS, (0.127, 0.16), (0.38, 0.22, 0.22), (0.03, 0.01, 0.04)),
    "LBBB": (LBBB_QRS, (0.128, 0.168), (-0.36, -0.02, -0.42), (-0.07, 0.0, -0.10)),
}


def draw_conducted(rng: np.random.Generator, block: str | None, rr: float, injury: Injury) -> Ventricles:
    """Draws the shape of beats that come down the conduction system.

    `block` is "LBBB", "RBBB" or None. The patient's mean RR interval `rr` (seconds) sets the QT interval; the injury
    shifts the ST segment and alters the T wave.
    """
    frontal, horizontal = (float(np.radians(_bounded_normal(rng, degrees))) for degrees in (15.0, 5.0))
    gain = float(np.clip(rng.lognormal(-0.12, 0.3), 0.5, 1.5))
    t_gain = gain**0.5 * rng.uniform(0.6, 1.25) * injury.t_factor
    bumps, durations, t_peak, st_level = CONDUCTED[block]
    table = np.array(bumps)
    duration, t = rng.uniform(*durations), _vary(rng, t_peak) * t_gain
    st = _bounded_normal(rng, 0.013, (3,)) if st_level is None else np.array(st_level) * gain
    vectors = _vary(rng, table[:, 2:]) * gain
    injured_st = injury.st_vector(st)
    return Ventricles(
        qrs=Loop(duration, table[:, 0], table[:, 1], _rotate(vectors, frontal, horizontal)),
        qt=_draw_qt(rng, rr) + 0.8 * max(duration - 0.1, 0.0),
        t=_rotate(t, frontal * 0.6, horizontal) + injury.t_pull * (injured_st - st),
        st=injured_st,
        st_slope=injury.st_slope,
    )


def draw_ectopic(rng: np.random.Generator, block: str | None, rr: float) -> Ventricles:
    """Draws the shape of beats that start in a ventricle: wide, with ST segment and T wave against the QRS complex.

    The ventricle is one whose ectopic beats differ from the patient's bundle branch block.
    """
    origins = {"LBBB": ("left free wall", "left fascicle"), "RBBB": ("right outflow tract", "right apex")}
    origin = rng.choice(origins.get(block or "", tuple(ECTOPIC_ORIGINS)))
    main = np.array(ECTOPIC_ORIGINS[origin]) * np.clip(rng.lognormal(0.0, 0.15), 0.8, 1.35)
    duration = rng.uniform(0.126, 0.175)
    vectors = ECTOPIC_QRS[:, 2:] * np.stack([_vary(rng, main) for _ in ECTOPIC_QRS])
    return Ventricles(
        qrs=Loop(duration, ECTOPIC_QRS[:, 0], ECTOPIC_QRS[:, 1], vectors),
        qt=_draw_qt(rng, rr) + 0.07,
        t=-rng.uniform(0.35, 0.5) * main,
        st=-rng.uniform(0.08, 0.14) * main,
        st_slope=0.3,
    )


def draw_p_wave(rng: np.random.Generator, start: str) -> Loop:
    """Draws a P wave that starts at a key of `P_WAVES`."""
    table, gain = P_WAVES[start], rng.uniform(0.55, 1.3)
    return Loop(rng.uniform(0.085, 0.110), table[:, 0], table[:, 1], _vary(rng, table[:, 2:]) * gain)


def _vary(rng: np.random.Generator, vectors: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Returns the vectors [.., 3], each a little longer or shorter and off its direction."""
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    gain = 1 + _bounded_normal(rng, 0.08, length.shape)
    return vectors * gain + _bounded_normal(rng, 0.07, vectors.shape) * length


def _bounded_normal(rng: np.random.Generator, std: float, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Draws normal deviates, cut at two standard deviations: shapes keep their kind."""
    return std * np.clip(rng.standard_normal(shape), -2.0, 2.0)


def _rotate(vectors: np.ndarray, frontal: float, horizontal: float) -> np.ndarray:
    """Returns the vectors [.., 3] turned in the frontal (X to Y), then in the horizontal plane (X to Z), in radians."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    x, y = x * np.cos(frontal) - y * np.sin(frontal), x * np.sin(frontal) + y * np.cos(frontal)
    x, z = x * np.cos(horizontal) - z * np.sin(horizontal), x * np.sin(horizontal) + z * np.cos(horizontal)
    return np.stack([x, y, z], axis=-1)


def _draw_qt(rng: np.random.Generator, rr: float) -> float:
    """Returns seconds, linear in RR: A. Sagie et al., American Journal of Cardiology 70 (1992) 797–801 (Framingham)."""
    return 0.40 + float(_bounded_normal(rng, 0.012)) - 0.154 * (1.0 - rr)
