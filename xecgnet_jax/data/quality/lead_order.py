"""Checks whether leads carry wrong names, as far as a signal can tell.

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

#: Size of the relations' result, relative to the leads, from which on they do not hold. Recordings have up to 0.02,
#: two exchanged leads 0.14 and more.
BROKEN: float = 0.05

#: Correlation of leads I and V6 below which electrodes may be on the wrong arms.
OPPOSED: float = -0.5

#: The chest leads may be out of order if exchanging two of them shortens the path from each to the next to this part.
SHORTER: float = 0.74


def limb_lead_warning(signal: np.ndarray) -> str | None:
    """Returns how one change of names or signs would repair limb leads that contradict each other, else None.

    Limb leads, of [T, 12] mV, that are flat contradict the relations, too.
    """
    limbs = signal[:, :6].astype(np.float64)
    limbs -= limbs.mean(axis=0)  # The relations are linear, so they hold without the offsets, too.
    products = limbs.T @ limbs
    if not np.trace(products) or _violation(products) <= BROKEN:
        return None
    pairs = list(combinations(range(6), 2))
    changes = [(np.eye(6)[_exchange(a, b)], f"{LIMB[a]} and {LIMB[b]} are exchanged") for a, b in pairs]
    changes += [
        (np.diag(1 - 2 * row), f"{lead} is turned upside down") for row, lead in zip(np.eye(6), LIMB, strict=True)
    ]
    repairs = [text for change, text in changes if _violation(change @ products @ change.T) <= BROKEN]
    hint = f"they do if {' or if '.join(repairs)}" if repairs else "no exchange of two and no single sign explains it"
    return f"the limb leads contradict each other (II = I + III and aVR, aVL, aVF from them do not hold): {hint}"


def arm_warning(band: np.ndarray) -> str | None:
    """Returns a text if lead I runs against V6, as with exchanged arm electrodes: [T, 12] of `filter_qrs_band`.

    V1 to V6 in reversed order look the same.
    """
    one, six = band[:, LEADS.index("I")].astype(np.float64), band[:, LEADS.index("V6")].astype(np.float64)
    sizes = np.sqrt((one @ one) * (six @ six))
    if not sizes or one @ six / sizes >= OPPOSED:
        return None
    causes = "the arm electrodes may be exchanged, V1 to V6 in reversed order, or the heart on the right"
    return f"lead I runs against V6: {causes}"


def chest_lead_warning(band: np.ndarray) -> str | None:
    """Returns which two of V1 to V6 seem exchanged, or None: [T, 12] of `filter_qrs_band`.

    Each chest lead resembles its neighbors. Exchanges of leads that are far apart are found, seldom those of V1 and V2
    or among V4 to V6; never the reversed order.
    """
    chest = band[:, 6:].astype(np.float64)
    if not chest.any(axis=0).all():
        return None
    products = chest.T @ chest
    squares = np.diag(products)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0))
    orders = {pair: _exchange(*pair) for pair in combinations(range(6), 2)}
    paths = {pair: distances[order[:-1], order[1:]].sum() for pair, order in orders.items()}
    pair = min(paths, key=lambda pair: paths[pair])
    if paths[pair] >= SHORTER * np.diag(distances, 1).sum():
        return None
    return f"the chest leads may be out of order: {CHEST[pair[0]]} and {CHEST[pair[1]]} exchanged would fit better"


def _violation(products: np.ndarray) -> float:
    """Returns the size of the relations' result for leads with these inner products [6, 6], relative to the leads'."""
    return float(np.sqrt(np.trace(RELATIONS @ products @ RELATIONS.T) / np.trace(products)))


def _exchange(one: int, other: int) -> np.ndarray:
    """Returns the numbers 0 to 5 with two of them exchanged."""
    order = np.arange(6)
    order[[one, other]] = other, one
    return order
