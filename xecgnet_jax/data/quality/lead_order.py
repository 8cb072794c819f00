"""Leads under wrong names, as far as a signal can tell.

The six limb leads have only two degrees of freedom, so wrong names contradict them for certain. Electrodes on the wrong
arms, and exchanged chest leads, only make a signal unusual.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from xecgnet_jax.data.leads import LEADS

LIMB, CHEST = LEADS[:6], LEADS[6:]

#: Einthoven's and Goldberger's relations of I, II, III, aVR, aVL, aVF, each of which should be 0.
RELATIONS: np.ndarray = np.array(
    [
        [1, -1, 1, 0, 0, 0],  # I + III - II
        [0.5, 0.5, 0, 1, 0, 0],  # aVR + (I + II) / 2
        [-0.5, 0, 0.5, 0, 1, 0],  # aVL - (I - III) / 2
        [0, -0.5, -0.5, 0, 0, 1],  # aVF - (II + III) / 2
    ]
)

#: What is left of the relations, relative to the leads, from which on they do not hold. Recordings have up to 0.02,
#: two exchanged leads 0.14 and more.
BROKEN: float = 0.05

#: Correlation of leads I and V6 below which electrodes may be on the wrong arms.
OPPOSED: float = -0.5

#: The chest leads may be out of order where an exchange of two makes the way from each to the next so much shorter.
SHORTER: float = 0.74


def limb_suspicion(signal: np.ndarray) -> str | None:
    """What contradicts the relations of the limb leads, and which one change of names or signs would mend it.

    Args:
      signal: [T, 12] mV; limb leads that are flat contradict them, too.
    """
    limbs = signal[:, :6].astype(np.float64)
    limbs -= limbs.mean(axis=0)  # The relations are linear, so they hold without the offsets, too.
    products = limbs.T @ limbs
    if not np.trace(products) or _remainder(products) <= BROKEN:
        return None
    mended = [said for change, said in _changes() if _remainder(change @ products @ change.T) <= BROKEN]
    hint = f"they do if {' or if '.join(mended)}" if mended else "no exchange of two and no single sign explains it"
    return f"the limb leads contradict each other (II = I + III and aVR, aVL, aVF from them do not hold): {hint}"


def arms_suspicion(band: np.ndarray) -> str | None:
    """Whether lead I runs against V6, as with exchanged arm electrodes: [T, 12] of `beats.banded`.

    V1 to V6 in reversed order look the same.
    """
    one, six = band[:, LEADS.index("I")].astype(np.float64), band[:, LEADS.index("V6")].astype(np.float64)
    sizes = np.sqrt((one @ one) * (six @ six))
    if not sizes or one @ six / sizes >= OPPOSED:
        return None
    return (
        "lead I runs against V6: the arm electrodes may be exchanged, V1 to V6 in reversed order, or the heart on the "
        "right"
    )


def chest_suspicion(band: np.ndarray) -> str | None:
    """Whether two of V1 to V6 seem exchanged: [T, 12] of `beats.banded`.

    Each chest lead resembles its neighbors. Seen are exchanges of leads that are far apart, seldom those of V1 and V2
    or among V4 to V6; never the reversed order.
    """
    chest = band[:, 6:].astype(np.float64)
    if not chest.any(axis=0).all():
        return None
    products = chest.T @ chest
    squares = np.diag(products)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0))
    orders = {pair: _exchanged(*pair) for pair in combinations(range(6), 2)}
    ways = {pair: distances[order[:-1], order[1:]].sum() for pair, order in orders.items()}
    pair = min(ways, key=lambda pair: ways[pair])
    if ways[pair] >= SHORTER * np.diag(distances, 1).sum():
        return None
    return f"the chest leads may be out of order: {CHEST[pair[0]]} and {CHEST[pair[1]]} exchanged would fit better"


def _remainder(products: np.ndarray) -> float:
    """How much of leads with these inner products [6, 6] the relations leave, relative to their size."""
    return float(np.sqrt(np.trace(RELATIONS @ products @ RELATIONS.T) / np.trace(products)))


def _changes() -> list[tuple[np.ndarray, str]]:
    """Every exchange of two limb leads and every turned sign, as a matrix and in words."""
    exchanges = [(np.eye(6)[_exchanged(*pair)], pair) for pair in combinations(range(6), 2)]
    signs = [(np.diag(np.where(np.arange(6) == lead, -1.0, 1.0)), LIMB[lead]) for lead in range(6)]
    said = [(change, f"{LIMB[one]} and {LIMB[other]} are exchanged") for change, (one, other) in exchanges]
    return said + [(change, f"{lead} is turned upside down") for change, lead in signs]


def _exchanged(one: int, other: int) -> np.ndarray:
    order = np.arange(6)
    order[[one, other]] = other, one
    return order
