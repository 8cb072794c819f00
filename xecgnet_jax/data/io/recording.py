"""A 12-lead ECG as it was read from a file."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xecgnet_jax.files import default_cache, write_bytes

if TYPE_CHECKING:
    from xecgnet_jax.data.quality.plausibility import RecordingWarning


@dataclass(frozen=True, eq=False)
class Recording:
    """One 12-lead ECG."""

    id: str  #: name of the record, without folder or suffix
    signal: np.ndarray  #: [T, 12] float32, millivolts, leads in the order of `LEADS`
    rate: float  #: sampling rate of `signal` in Hz
    codes: tuple[str, ...] = ()  #: diagnostic codes as the file or its corpus writes them, in the file's order
    age: float | None = None  #: years; None where the file does not say
    sex: str | None = None  #: "F" or "M", likewise
    #: [12] float64, millivolts per step of the source's converter (1 / gain), or None where the source has none or the
    #: signal was resampled.
    resolution: np.ndarray | None = None
    format: str = "WFDB"  #: name of the file's format
    patient: str | None = None  #: `hash_patient` of the patient's id, None where the file has none
    derived: tuple[str, ...] = ()  #: leads that the file does not store, computed from others
    warnings: tuple[RecordingWarning, ...] = ()  #: what looks wrong with the signal
    notes: tuple[str, ...] = ()  #: what was left out or filled in, and is no reason to worry
    #: Diagnoses in the words of the device or a physician. Free text: it may hold names and dates.
    statements: tuple[str, ...] = ()


def hash_patient(patient: str) -> str | None:
    """Returns a keyed hash of a patient's id (HMAC-SHA256, 16 digits), the same for all files of this user.

    The key is XECGNET_PATIENT_KEY where the environment has it, else a random one that is kept in the user's cache.
    Without the key nobody can tell whose hash it is by trying all ids. None for an empty id.
    """
    if not patient.strip():
        return None
    return hmac.new(_key(), patient.strip().encode(), hashlib.sha256).hexdigest()[:16]


def _key() -> bytes:
    if given := os.environ.get("XECGNET_PATIENT_KEY"):
        return given.encode()
    file = default_cache() / "patient.key"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        write_bytes(file, secrets.token_hex(32).encode())
        file.chmod(0o600)
        return file.read_bytes()
