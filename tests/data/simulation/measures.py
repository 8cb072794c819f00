"""Measurements on clean simulated signals, by a cardiologist's rules, for test_simulate_*.py."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.corpus import SimulatedRecording, simulate_recording

BEATS = "NLRAV"
INDEPENDENT = [LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]


@lru_cache(maxsize=512)
def clean(index: int, *classes: str, duration_s: float = 20.0) -> SimulatedRecording:
    return simulate_recording(11, index, frozenset(classes), duration_s=duration_s, noise=0.0)


def lead(recording: SimulatedRecording, name: str) -> np.ndarray:
    return recording.signal[:, LEADS.index(name)].astype(np.float64)


class Complex(NamedTuple):
    """One annotated beat: WFDB symbol, samples of its peak, and of onset and end as measured in the signal."""

    symbol: str
    peak: int
    onset: int
    end: int

    @property
    def duration(self) -> float:
        return (self.end - self.onset) / RATE


def complexes(recording: SimulatedRecording) -> list[Complex]:
    """Beats that lie wholly inside, their QRS complexes measured by the signal's spatial velocity.

    From the annotated peak outwards, the complex ends where the velocity stays low for 20 ms.
    """
    velocity = spatial_velocity(recording)
    found = []
    for sample, symbol in zip(recording.annotations.sample, recording.annotations.symbol, strict=True):
        if symbol in BEATS and 150 < sample < len(velocity) - 300:
            high = velocity > 0.07 * velocity[sample - 60 : sample + 60].max()
            onset, end = int(sample), int(sample)
            while high[onset - 10 : onset].any():
                onset -= 1
            while high[end : end + 10].any():
                end += 1
            found.append(Complex(symbol, int(sample), onset, end))
    return found


def spatial_velocity(recording: SimulatedRecording) -> np.ndarray:
    """[T] mV per sample, over the eight independent leads."""
    return np.linalg.norm(np.gradient(recording.signal[:, INDEPENDENT].astype(np.float64), axis=0), axis=1)


def p_onset(recording: SimulatedRecording, peak: int) -> int:
    """Sample where the P wave annotated at `peak` starts, by spatial velocity; at most 80 ms earlier.

    The limit is for P waves that lie on a T wave.
    """
    velocity = spatial_velocity(recording)
    low = 0.12 * velocity[max(peak - 30, 0) : peak + 30].max()
    onset = peak
    while onset > max(peak - 40, 10) and (velocity[onset - 10 : onset] > low).any():
        onset -= 1
    return onset


def samples_of(recording: SimulatedRecording, symbol: str) -> np.ndarray:
    events = recording.annotations
    return events.sample[[found == symbol for found in events.symbol]]


def st_levels(recording: SimulatedRecording) -> np.ndarray:
    """[12] mV 60 ms after the measured end of the QRS complex against 10 ms before its onset, conducted beats."""
    beats = [beat for beat in complexes(recording) if beat.symbol != "V"]
    signal = recording.signal.astype(np.float64)
    return np.median([signal[beat.end + 30] - signal[beat.onset - 5] for beat in beats], axis=0)
