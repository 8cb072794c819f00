"""One patient's heart, drawn to have given findings."""

from __future__ import annotations

import numpy as np

from xecgnet_jax.data.simulation.heart import Fibrillation, Heart
from xecgnet_jax.data.simulation.injury import draw_injury
from xecgnet_jax.data.simulation.morphology import (
    LEFT_ATRIAL_P,
    LOW_ATRIAL_P,
    SINUS_P,
    draw_conducted,
    draw_ectopic,
    draw_p_wave,
)
from xecgnet_jax.data.simulation.rhythms import ECTOPIC_CLASSES, NEED_P_WAVES, Pacing

#: Directions of two oscillations of fibrillating atria, mV: the first mostly to the front, seen by V1 and II.
F_WAVES: tuple[tuple[float, float, float], ...] = ((-0.05, 0.05, -0.10), (0.02, 0.04, 0.02))


def draw_heart(rng: np.random.Generator, classes: frozenset[str]) -> Heart:
    """Draws a patient with these findings; what they leave open varies within the normal range."""
    rr = _draw_rr(rng, classes)
    block = next((name for name in ("LBBB", "RBBB") if name in classes), None)
    conducted = draw_conducted(rng, block, rr, draw_injury(rng, classes))
    sinus_p = draw_p_wave(rng, SINUS_P)
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
        sinus_p=sinus_p,
        ectopic_p=draw_p_wave(rng, LOW_ATRIAL_P if rng.random() < 0.6 else LEFT_ATRIAL_P),
        fibrillation=Fibrillation(
            vectors=(np.array(F_WAVES) + rng.normal(0.0, 0.01, (2, 3))) * rng.uniform(0.2, 0.85),
            frequency=rng.uniform(4.8, 7.8),
        ),
        block=block,
    )


def _draw_rr(rng: np.random.Generator, classes: frozenset[str]) -> float:
    """Draws the mean RR interval in seconds: one that leaves room for the events in it."""
    if "AF" in classes and not classes & NEED_P_WAVES:
        return rng.uniform(0.5, 0.95)
    if "I-AVB" in classes:
        return rng.uniform(0.78, 1.15)
    if classes & set(ECTOPIC_CLASSES):
        return rng.uniform(0.68, 1.05)
    if "Normal" in classes:
        return rng.uniform(0.62, 1.0)
    return rng.uniform(0.56, 1.15)
