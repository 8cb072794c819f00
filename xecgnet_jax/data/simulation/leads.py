"""The heart's dipole and the potentials of nine electrodes → the twelve leads."""

from __future__ import annotations

import numpy as np

#: Electrodes in the order of the [.., 9] arrays: right arm, left arm, left leg, chest.
ELECTRODES: tuple[str, ...] = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")

#: [8, 3] mV in I, II, V1–V6 per mV of a dipole in Frank's axes: X to the patient's left, Y to the feet, Z to the back.
#: From G. E. Dower, H. B. Machado, J. A. Osborne, "On deriving the electrocardiogram from vectorcardiographic leads",
#: Clinical Cardiology 3 (1980) 87–95.
LEAD_FIELD = [
    [0.632, -0.235, 0.059],
    [0.235, 1.066, -0.132],
    [-0.515, 0.157, -0.917],
    [0.044, 0.164, -1.387],
    [0.882, 0.098, -1.277],
    [1.213, 0.127, -0.601],
    [1.125, 0.127, -0.086],
    [0.831, 0.076, 0.230],
]


def to_twelve_leads(dipole: np.ndarray, electrodes: np.ndarray | None = None) -> np.ndarray:
    """Returns the leads [.., 12] of a dipole [.., 3] and electrode potentials [.., 9], all in mV.

    Potentials of electrodes (noise) are combined as in an amplifier: limb leads are differences of limb electrodes,
    a chest lead is its electrode less the mean of the three limb electrodes (Wilson's terminal). III, aVR, aVL and aVF
    are computed from I and II, so Einthoven's and Goldberger's equations hold for any input.
    """
    eight = dipole @ np.transpose(LEAD_FIELD)
    if electrodes is not None:
        right_arm, limbs, chest = electrodes[..., :1], electrodes[..., :3], electrodes[..., 3:]
        eight[..., :2] += limbs[..., 1:] - right_arm
        eight[..., 2:] += chest - limbs.mean(axis=-1, keepdims=True)
    one, two = eight[..., 0], eight[..., 1]
    limb_leads = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([np.stack(limb_leads, axis=-1), eight[..., 2:]], axis=-1)
