"""Convolution, normalisation, pooling and bottleneck, as Keras computes them.

Every layer takes an optional `valid` mask [B, T, 1]. Where it is given, positions outside it are kept
at zero before each convolution and left out of all statistics, so that a recording in a batch padded to a
common length gives what it gives alone.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

#: Keras's ResNet uses this ε, and the authors took it from there.
EPSILON = 1.001e-5
MOMENTUM = 0.99

kernel_init = nn.initializers.glorot_uniform()


def conv(features: int, width: int, *, bias: bool, name: str) -> nn.Conv:
    """A convolution over time with zero ("same") padding: [B, T, F] → [B, T, features]."""
    return nn.Conv(features, (width,), padding="SAME", use_bias=bias, kernel_init=kernel_init, name=name)


def keep(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`x` with zeros outside `valid`."""
    return x if valid is None else jnp.where(valid, x, jnp.zeros((), x.dtype))


class Norm(nn.Module):
    """Batch normalisation over batch and time, statistics from valid positions only.

    The variance is the mean squared distance from the mean, in two passes: without an activation before
    it, a channel's mean may be large beside its spread, and E[x²] − (E x)² would lose the digits that
    matter. Applied as one multiplication and one addition, as Keras does.
    """

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, valid: jax.Array | None) -> jax.Array:
        features = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_variance = self.variable("batch_stats", "var", jnp.ones, features)
        if train:
            mean, variance = _moments(x, valid)
            if not self.is_initializing():
                running_mean.value = MOMENTUM * running_mean.value + (1 - MOMENTUM) * mean
                running_variance.value = MOMENTUM * running_variance.value + (1 - MOMENTUM) * variance
        else:
            mean, variance = running_mean.value, running_variance.value
        factor = scale * jax.lax.rsqrt(variance + EPSILON)
        offset = bias - mean * factor
        return keep(x * factor[None, None, :] + offset[None, None, :], valid)


def _moments(x: jax.Array, valid: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Mean and (biased) variance [F] of [B, T, F] over batch and time."""
    if valid is None:
        mean = jnp.mean(x, axis=(0, 1))
        return mean, jnp.mean(jnp.square(x - mean[None, None, :]), axis=(0, 1))
    count = jnp.sum(valid)
    mean = jnp.sum(keep(x, valid), axis=(0, 1)) / count
    return mean, jnp.sum(keep(jnp.square(x - mean[None, None, :]), valid), axis=(0, 1)) / count


def max_pool3(x: jax.Array) -> jax.Array:
    """Max over windows of 3 with stride 3 and "same" padding: [B, T, F] → [B, ⌈T/3⌉, F].

    Written as a reshape: the numbers are those of `reduce_window`, and its gradient is an elementwise
    selection instead of a scatter.
    """
    time = x.shape[1]
    bins = -(-time // 3)
    missing = 3 * bins - time
    if missing:
        left = missing // 2
        x = jnp.pad(x, ((0, 0), (left, missing - left), (0, 0)), constant_values=-jnp.inf)
    return jnp.max(x.reshape(x.shape[0], bins, 3, x.shape[2]), axis=2)


def average(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Mean over (valid) time: [B, T, F] → [B, F]."""
    if valid is None:
        return jnp.mean(x, axis=1)
    return jnp.sum(keep(x, valid), axis=1) / jnp.sum(valid, axis=1)


class Bottleneck(nn.Module):
    """ResNet bottleneck: 1×1 → F/4, 3 → F/4, 1×1 → F, plus a projected shortcut; no biases.

    Batch normalisation after each convolution, ReLU after the first two and after the sum.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, valid: jax.Array | None) -> jax.Array:
        narrow = self.features // 4
        shortcut = conv(self.features, 1, bias=False, name="shortcut")(x)
        shortcut = Norm(name="shortcut_norm")(shortcut, train=train, valid=valid)
        for index, (features, width) in enumerate(((narrow, 1), (narrow, 3), (self.features, 1))):
            x = conv(features, width, bias=False, name=f"conv_{index}")(x)
            x = Norm(name=f"norm_{index}")(x, train=train, valid=valid)
            if index < 2:
                x = nn.relu(x)
        return nn.relu(x + shortcut)
