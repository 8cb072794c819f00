"""A 12-lead ECG as it was read from a file."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xecgnet_jax.data.leads import LEADS, complete_leads
from xecgnet_jax.data.signals import SignalSpec, prepare_signal
from xecgnet_jax.errors import ConfigError, RecordError
from xecgnet_jax.files import create_private, default_cache

#: Length of the key of patients' hashes.
_KEY_BYTES = 64


class RecordingWarning(NamedTuple):
    """One thing that looks wrong with a recording."""

    #: A word for counting and sorting: units, amplitude, offset, rate, limb-leads, arms, chest-leads, identical, flat,
    #: clipped, short, long, marked, missing-leads.
    kind: str
    text: str  #: what was seen, and what to do; without "; ", which separates several warnings


#: Hz that an ECG has.
RATES: tuple[float, float] = (50, 100_000)

#: Seconds beyond which a recording is refused: it is no 12-lead ECG at rest, and it would fill the memory.
LONGEST: int = 3600

#: mV beyond which no sample of a file that states its units is a voltage of electrodes: recorders are fed by 5 V.
HIGHEST: float = 5_000.0


@dataclass(frozen=True, eq=False)
class Recording:
    """One 12-lead ECG."""

    id: str  #: name of the record, without folder or suffix
    signal: np.ndarray  #: [T, 12] float32, millivolts, leads in the order of `LEADS`
    rate: float  #: sampling rate of `signal` in Hz
    codes: tuple[str, ...] = ()  #: diagnostic codes as the file or its corpus writes them, in the file's order
    age: float | None = None  #: years; None where the file does not say
    sex: str | None = None  #: "F" or "M", likewise
    #: [12] float64, millivolts per step of the source's converter (1 / gain), or None where the source has none, the
    #: signal was resampled or leads are derived or absent.
    resolution: np.ndarray | None = None
    format: str = "WFDB"  #: name of the file's format
    patient: str | None = None  #: `hash_patient` of the patient's id, None where the file has none
    derived: tuple[str, ...] = ()  #: leads that the file does not store, computed from others
    absent: tuple[str, ...] = ()  #: leads that the file does not store and nothing tells, 0 mV in `signal`
    warnings: tuple[RecordingWarning, ...] = ()  #: what looks wrong with the signal
    notes: tuple[str, ...] = ()  #: what was left out or filled in, and is no reason to worry
    #: Diagnoses in the words of the device or a physician. Free text: it may hold names and dates.
    statements: tuple[str, ...] = ()


def complete_recording(recording: Recording, leads: Sequence[str]) -> Recording:
    """Returns a recording whose signal [T, L] has these leads, in the order of `LEADS`, with all twelve of them."""
    if len(leads) == len(LEADS):
        return recording
    columns, derived, absent = complete_leads(dict(zip(leads, recording.signal.T, strict=True)))
    signal, notes = np.stack(list(columns.values()), axis=1), recording.notes + derived_notes(derived)
    return replace(recording, signal=signal, resolution=None, derived=derived, absent=absent, notes=notes)


def derived_notes(derived: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a note on leads that were computed; none where there are none."""
    return (f"computed from I and II: {', '.join(derived)}",) if derived else ()


def is_rate(rate: float) -> bool:
    """Whether an ECG can have this sampling rate, in Hz; NaN is none."""
    return RATES[0] <= rate <= RATES[1]


def check_rate(path: Path, rate: float | None) -> float:
    """Returns the sampling rate that a file states, in Hz.

    Raises:
      RecordError: it states none, or one that no ECG has.
    """
    if rate is None or not is_rate(rate):
        found = "missing" if rate is None else f"{rate:g} Hz"
        raise RecordError(f"{path}: the sampling rate is {found}; an ECG has 50 to 100,000 Hz. Correct the header.")
    return rate


def check_signal(path: Path, recording: Recording, highest: float = HIGHEST) -> None:
    """Checks what must hold whatever is made of a recording.

    Raises:
      RecordError: it is longer than `LONGEST`, or a sample is beyond `highest` mV.
    """
    if len(recording.signal) > LONGEST * recording.rate:
        raise RecordError(f"{path}: longer than {LONGEST} s, too long for one ECG. Cut it into pieces.")
    largest = np.abs(recording.signal).max(axis=0, initial=0)
    if wrong := [lead for lead, value in zip(LEADS, largest, strict=True) if not value <= highest]:
        problem = f"samples of {', '.join(wrong)} are no voltages, they are beyond {highest:g} mV"
        raise RecordError(f"{path}: {problem}. Correct the gain or units in the header, or the samples.")


def prepare_recording(path: Path, recording: Recording, spec: SignalSpec) -> np.ndarray:
    """Returns `prepare_signal` of a recording that was read from `path`.

    Raises:
      RecordError: it cannot be resampled to the rate of `spec`.
    """
    try:
        return prepare_signal(recording.signal, recording.rate, spec)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def hash_patient(patient: str) -> str | None:
    """Returns a keyed hash of a patient's id (HMAC-SHA256, 16 digits), the same for all files of this user.

    The key is XECGNET_PATIENT_KEY where the environment has it, else a random one that is kept in the user's cache.
    Without the key nobody can tell whose hash it is by trying all ids. None for an empty id.

    Raises:
      ConfigError: the key cannot be kept, or what is kept is none.
    """
    if not patient.strip():
        return None
    return hmac.digest(_key(), patient.strip().encode(), "sha256").hex()[:16]


def hash_name(name: str) -> str:
    """Returns a keyed hash of a recording's name, which may be a record number; by the key of `hash_patient`."""
    return hmac.digest(_key(), f"recording {name}".encode("utf-8", "surrogateescape"), "sha256").hex()[:16]


def key_digest() -> str:
    """Returns a digest of the key of these hashes, by which two keys are told apart."""
    return hashlib.sha256(_key()).hexdigest()[:16]


def _key() -> bytes:
    if given := os.environ.get("XECGNET_PATIENT_KEY"):
        return given.encode()
    return _kept_key(default_cache() / "patient.key")


@cache
def _kept_key(file: Path) -> bytes:
    """Returns the key that is in a file, which is made where it is not there.

    Raises:
      ConfigError: it cannot be read or made, or holds less than a key. No recording is to blame.
    """
    try:
        if not file.exists():
            create_private(file, secrets.token_hex(_KEY_BYTES // 2).encode())
        key = file.read_bytes()
    except OSError as error:
        problem = f"the key of patients' hashes cannot be kept there ({error.strerror})"
        raise ConfigError(f"{file}: {problem}. Make its folder writable, or set XECGNET_PATIENT_KEY.") from error
    if len(key) < _KEY_BYTES:
        remedy = "Restore it, or remove it: patients then get other hashes"
        raise ConfigError(f"{file}: holds {len(key)} bytes, and no key of patients' hashes. {remedy}.")
    return key
