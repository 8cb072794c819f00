"""Random changes of a batch's recordings, on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from xecgnet_jax.data.batches import Batch


def augment(batch: Batch, key: jax.Array, strength: float, rate: float) -> Batch:
    """Returns a batch with random gains, baseline wander, noise and lead loss, on the recordings' samples only.

    Units are standard deviations of a lead. At strength 1: log-normal gain of the recording (σ 0.2) and of each lead
    (σ 0.1), a sinusoidal wander of 0.05–0.5 Hz per lead (half-normal amplitude, σ 0.2), white noise (half-normal level,
    σ 0.05), and each lead lost with probability 0.05.
    """
    keys = jax.random.split(key, 8)
    signal = batch.signal
    size, samples, leads = signal.shape
    per_lead = (size, 1, leads)
    gain = jnp.exp(0.2 * strength * jax.random.normal(keys[0], (size, 1, 1)))
    gain = gain * jnp.exp(0.1 * strength * jax.random.normal(keys[1], per_lead))
    gain = gain * (jax.random.uniform(keys[2], per_lead) >= 0.05 * strength)
    frequency = jax.random.uniform(keys[3], per_lead, minval=0.05, maxval=0.5)
    phase = jax.random.uniform(keys[4], per_lead, maxval=2 * jnp.pi)
    amplitude = 0.2 * strength * jnp.abs(jax.random.normal(keys[5], per_lead))
    seconds = (jnp.arange(samples) / rate)[None, :, None]
    level = 0.05 * strength * jnp.abs(jax.random.normal(keys[6], (size, 1, 1)))
    changed = signal * gain + amplitude * jnp.sin(2 * jnp.pi * frequency * seconds + phase)
    changed = changed + level * jax.random.normal(keys[7], signal.shape)
    time = jnp.arange(samples)[None, :]
    inside = (time >= batch.inside[:, :1]) & (time < batch.inside[:, 1:])
    return batch._replace(signal=jnp.where(inside[..., None], changed, 0.0))
