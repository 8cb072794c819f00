"""Draws patients, durations and findings with the frequencies of CPSC2018."""

from __future__ import annotations

import numpy as np

_COUNTS = """
    RBBB 1533, AF 976, Normal 918, STD 784, I-AVB 686, PVC 607, PAC 533, STE 185, LBBB 179, AF+RBBB 172, PAC+RBBB 52,
    PVC+RBBB 51, AF+STD 30, AF+LBBB 26, RBBB+STD 20, PVC+STD 18, RBBB+STE 16, I-AVB+RBBB 10, LBBB+PAC 10, I-AVB+LBBB 8,
    AF+PVC 8, LBBB+PVC 6, PAC+STD 6, I-AVB+STD 6, I-AVB+PVC 5, I-AVB+STE 4, AF+PAC 4, LBBB+STE 4, PAC+RBBB+STE 3,
    PAC+PVC 3, I-AVB+PAC 3, AF+LBBB+STD 3, AF+STE 2, PAC+STE 2, STD+STE 2, PVC+STE 2
"""

#: Number of CPSC2018's 6,877 recordings with each set of labels: counted over the challenge's REFERENCE.csv (a label
#: that a row names twice counts once).
LABEL_SETS: dict[tuple[str, ...], int] = {
    tuple(names.split("+")): int(count) for names, count in map(str.split, _COUNTS.split(","))
}

#: Shortest and longest recording of CPSC2018, in seconds.
SHORTEST, LONGEST = 6.0, 144.0

#: Mean age in years by finding; of several findings the oldest counts. Plausible, not measured: conduction disease and
#: fibrillation belong to old age.
MEAN_AGE: dict[str, float] = {
    "AF": 70, "I-AVB": 66, "LBBB": 69, "Normal": 42, "PAC": 66, "PVC": 58, "RBBB": 63, "STD": 58, "STE": 52
}  # fmt: skip


def draw_classes(rng: np.random.Generator) -> frozenset[str]:
    """Draws a set of labels with its frequency in CPSC2018."""
    counts = np.array(list(LABEL_SETS.values()))
    return frozenset(list(LABEL_SETS)[rng.choice(len(counts), p=counts / counts.sum())])


def draw_duration(rng: np.random.Generator) -> float:
    """Draws seconds: 6 to 144, more than a third exactly 10, most 10 to 15, about 0.8 % over 60, mean 16."""
    kind = rng.choice(5, p=[0.38, 0.02, 0.40, 0.192, 0.008])
    low, high = [(10.0, 10.0), (SHORTEST, 10.0), (10.0, 16.0), (16.0, 60.0), (60.0, LONGEST)][kind]
    if kind == 0:
        return low
    return rng.uniform(low, high) if kind < 3 else low + (high - low) * rng.beta(1.0, 2.0)


def draw_age(rng: np.random.Generator, classes: frozenset[str]) -> float:
    """Draws whole years, 18 to 95."""
    mean = max(MEAN_AGE[name] for name in classes)
    return float(np.clip(round(rng.normal(mean, 13.0)), 18, 95))


def draw_sex(rng: np.random.Generator) -> str:
    """Draws "M" a little more often than "F", as in hospitals."""
    return "M" if rng.random() < 0.54 else "F"
