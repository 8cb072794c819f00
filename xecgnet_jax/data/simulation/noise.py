"""The noise of a recording, as potentials of the nine electrodes."""

from __future__ import annotations

import numpy as np

from xecgnet_jax.data.leads import RATE
from xecgnet_jax.data.simulation.leads import ELECTRODES

#: Lengths of Fourier transforms are rounded up to a multiple of this, which keeps their factors small.
BLOCK: int = 512


def electrode_noise(rng: np.random.Generator, samples: int, respiration: float) -> np.ndarray:
    """Returns [T, 9] mV: baseline wander, mains, muscle and amplifier noise, electrode motion.

    Noise belongs to electrodes, so that it appears in the leads as it does in reality: that of an arm in several limb
    leads, a third of it in every chest lead. The main rhythm of the wander is `respiration`, breaths per second.
    """
    loudness = float(np.clip(rng.lognormal(0.0, 0.7), 0.25, 4.0))
    time = np.arange(samples) / RATE
    noise = _wander(rng, time, respiration, 0.05 * loudness) + _mains(rng, time)
    return noise + _muscle(rng, time, 0.010 * loudness) + _motion(rng, time)


def _wander(rng: np.random.Generator, time: np.ndarray, respiration: float, size: float) -> np.ndarray:
    """Returns [T, 9] breathing at its rate and slow drift below 0.4 Hz, of standard deviation about `size` mV."""
    frequencies = np.concatenate([[respiration], rng.uniform(0.03, 0.4, 3)])
    phases = rng.uniform(0, 2 * np.pi, (len(frequencies), 1))
    waves = np.sin(2 * np.pi * frequencies[:, None] * time + phases)
    weights = rng.normal(0.0, size / np.sqrt(2), (len(frequencies), len(ELECTRODES)))
    return waves.T @ weights


def _mains(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Returns [T, 9] 50 or 60 Hz and its third harmonic, of another height and sign at each electrode.

    Most amplifiers filter it out: it is clearly visible in one recording of five.
    """
    frequency = rng.choice([50.0, 60.0]) + rng.normal(0.0, 0.02)
    height = rng.uniform(0.015, 0.06) if rng.random() < 0.2 else rng.uniform(0.0, 0.004)
    phase = 2 * np.pi * (frequency * time + rng.random())
    return (np.sin(phase) + 0.1 * np.sin(3 * phase))[:, None] * rng.normal(0.0, height, len(ELECTRODES))


def _muscle(rng: np.random.Generator, time: np.ndarray, size: float) -> np.ndarray:
    """Returns [T, 9] noise of 15 to 150 Hz that swells and ebbs, about `size` mV, and 2 µV from the amplifier.

    Muscles are tenser under the electrodes of the limbs.
    """
    length = -(-len(time) // BLOCK) * BLOCK
    white = rng.standard_normal((len(ELECTRODES), length), dtype=np.float32)
    frequencies = np.fft.rfftfreq(length, 1 / RATE)
    band = 1 / (1 + (15 / np.maximum(frequencies, 0.01)) ** 4) / (1 + (frequencies / 150) ** 4)
    colored = np.fft.irfft(np.fft.rfft(white) * np.sqrt(band), length)[:, : len(time)].T
    swell = np.exp(0.6 * np.sin(2 * np.pi * (rng.uniform(0.05, 0.3) * time + rng.random())))
    tension = size * np.where(np.arange(len(ELECTRODES)) < 3, 1.0, 0.6) * rng.lognormal(0.0, 0.4, len(ELECTRODES))
    return colored * (swell[:, None] * tension + 0.002)


def _motion(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Returns [T, 9] of electrodes that slip now and then: the potential jumps within 0.05 to 0.4 s and creeps back."""
    noise = np.zeros((len(time), len(ELECTRODES)))
    for _ in range(rng.poisson(0.04 * time[-1])):
        since = time - rng.uniform(0.0, time[-1])
        rise = np.clip(since / rng.uniform(0.05, 0.4), 0.0, 1.0)
        height = rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.8)
        decay = np.exp(-np.maximum(since, 0.0) / rng.uniform(0.4, 2.0))
        noise[:, rng.integers(len(ELECTRODES))] += height * rise * decay
    return noise
