"""Ischemia: an injury current that lifts or lowers the ST segment over one territory of the heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.simulation.leads import to_twelve_leads

#: Territory → pairs of contiguous leads that look at it.
CONTIGUOUS: dict[str, tuple[tuple[str, str], ...]] = {
    "inferior": (("II", "aVF"), ("aVF", "III")),
    "anterior": (("V1", "V2"), ("V2", "V3"), ("V3", "V4")),
    "lateral": (("I", "aVL"), ("V5", "V6")),
}

#: Territory → directions of the injury vector when the territory's ST segments rise (+1) and fall (−1), in Frank's
#: axes. Subendocardial injury of the lateral wall points to the right shoulder: it lowers the inferior leads a little
#: too and lifts aVR, not III.
DIRECTIONS: dict[str, dict[int, tuple[float, float, float]]] = {
    "inferior": {1: (-0.05, 1.0, 0.10), -1: (-0.30, -1.0, 0.0)},
    "anterior": {1: (0.25, 0.0, -1.0), -1: (-0.40, 0.0, 1.0)},
    "lateral": {1: (1.0, -0.30, 0.25), -1: (-1.0, -0.45, -0.05)},
}


@dataclass(frozen=True, eq=False)
class Shift:
    """An ST deviation over one territory."""

    territory: str  #: key of `CONTIGUOUS`
    sign: int  #: +1 elevation, −1 depression
    direction: np.ndarray  #: [3] of the injury vector; any length
    amount: float  #: mV, positive, that two contiguous leads of the territory reach


@dataclass(frozen=True)
class Injury:
    """The effect of ischemia on a conducted beat."""

    shifts: tuple[Shift, ...] = ()  #: ST deviations; none in most patients
    t_factor: float = 1.0  #: remaining part of the T wave
    t_pull: float = 0.0  #: how far the T wave follows the injury vector
    st_slope: float = 0.0  #: change of the ST segment over 100 ms, as a part of its level

    def st_vector(self, st: np.ndarray) -> np.ndarray:
        """Returns the ST vector [3] in mV with the injury, from the one without: that of a bundle branch block, say."""
        for shift in self.shifts * 4:  # Of two, each takes a little from the other.
            per_unit, before = (shift.sign * to_twelve_leads(vector) for vector in (shift.direction, st))
            needed = []
            for pair in CONTIGUOUS[shift.territory]:
                leads = [LEADS.index(name) for name in pair]
                if (per_unit[leads] > 0.2).all():
                    needed.append(((shift.amount - before[leads]) / per_unit[leads]).max())
            st = st + max(min(needed), 0.0) * shift.direction
        return st


def draw_injury(rng: np.random.Generator, classes: frozenset[str]) -> Injury:
    """Draws the injury behind the classes STD and STE.

    Elevation is convex and runs into a taller T wave; depression is horizontal or downsloping, with a flat or inverted
    T wave.
    """
    elevated, depressed = _draw_territories(rng, classes)
    shifts = []

    def add(territory: str, sign: int, least: float, more: float) -> None:
        amount = least + more * rng.beta(1.2, 2.0)
        direction = np.array(DIRECTIONS[territory][sign]) + rng.normal(0.0, 0.06, 3)
        shifts.append(Shift(territory, sign, direction, amount))

    if "STE" in classes:
        # Leads V2 and V3 of healthy hearts can rise by 0.1 mV and more: the definition asks for twice that.
        add(elevated, 1, 0.20 if elevated == "anterior" else 0.13, 0.22)
    if "STD" in classes:
        add(depressed, -1, 0.13, 0.15)
    if not shifts:
        return Injury()
    if "STE" in classes:
        return Injury(tuple(shifts), rng.uniform(0.8, 1.1), rng.uniform(0.6, 1.1), rng.uniform(0.1, 0.4))
    return Injury(tuple(shifts), rng.uniform(0.3, 0.75), rng.uniform(0.0, 0.8), rng.uniform(0.0, 0.35))


def _draw_territories(rng: np.random.Generator, classes: frozenset[str]) -> tuple[str, str]:
    """Draws the territory where ST segments would rise and the one where they would fall.

    A left bundle branch block itself lifts them anteriorly and lowers them laterally. An injury beside it shows by
    the reverse (E. B. Sgarbossa et al., New England Journal of Medicine 334 (1996) 481–487). With both findings, one
    territory is anterior and the other inferior.
    """
    elevated = str(rng.choice(["inferior", "anterior", "lateral"]))
    depressed = str(rng.choice(["inferior", "anterior", "lateral"], p=[0.3, 0.2, 0.5]))
    if {"STE", "STD"} <= classes:
        elevated = str(rng.choice(["inferior", "anterior"]))
        depressed = "inferior" if elevated == "anterior" else "anterior"
    if "LBBB" in classes:
        depressed = "anterior"
        if elevated == "anterior":
            elevated = "inferior"
    return elevated, depressed
