"""Convolution, normalization, pooling and bottleneck, as Keras computes them.

Modules hold parameters; what is done with them are functions. Most take an optional `valid` mask [B, T, 1]. Where it is
given, positions outside it are kept at zero before each convolution and left out of all statistics, so that a recording
in a batch padded to a common length gives what it gives alone.

`compute` is the type of the convolutions and of what lies between the layers: bfloat16, or None for the type that the
signal has. Parameters, statistics and sums are float32 (float64 where the signal is).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

#: Keras's ResNet uses this ε, and the authors took it from there.
EPSILON = 1.001e-5
MOMENTUM = 0.99

kernel_init = nn.initializers.glorot_uniform()


class Filter(NamedTuple):
    """Of a convolution over time.

    Attributes:
      kernel: [K, F, G], K odd.
      bias: [G], or None.
    """

    kernel: jax.Array
    bias: jax.Array | None


class Moments(NamedTuple):
    """Mean and (biased) variance of each feature, [F]."""

    mean: jax.Array
    variance: jax.Array


class Affine(NamedTuple):
    """x · factor + offset for each feature, [F]."""

    factor: jax.Array
    offset: jax.Array


class Conv(nn.Module):
    """The parameters of a convolution: features of its input → `Filter`."""

    features: int
    width: int
    bias: bool = False

    @nn.compact
    def __call__(self, inputs: int) -> Filter:
        kernel = self.param("kernel", kernel_init, (self.width, inputs, self.features))
        return Filter(kernel, self.param("bias", nn.initializers.zeros, (self.features,)) if self.bias else None)


class Norm(nn.Module):
    """Batch normalization's parameters and running statistics: moments of the batch → what is applied to it.

    With moments they are used, and move the running ones; without, the running ones are used.
    """

    features: int

    @nn.compact
    def __call__(self, moments: Moments | None) -> Affine:
        features = (self.features,)
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        variance = self.variable("batch_stats", "var", jnp.ones, features)
        if moments is None:
            moments = Moments(mean.value, variance.value)
        elif not self.is_initializing():
            mean.value = MOMENTUM * mean.value + (1 - MOMENTUM) * moments.mean
            variance.value = MOMENTUM * variance.value + (1 - MOMENTUM) * moments.variance
        factor = scale * jax.lax.rsqrt(moments.variance + EPSILON)
        return Affine(factor, bias - moments.mean * factor)


def convolve(
    x: jax.Array, filter: Filter, compute: DTypeLike | None = None, padding: tuple[int, int] | None = None
) -> jax.Array:
    """Convolution over time: [B, T, F] → [B, T, G] of type `compute`.

    Zeros are put before and after as `padding` says; without it as many as keep the length ("same").
    """
    compute = x.dtype if compute is None else compute
    kernel = filter.kernel.astype(compute)
    y = jax.lax.conv_general_dilated(
        x.astype(compute),
        kernel,
        (1,),
        "SAME" if padding is None else [padding],
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return y if filter.bias is None else y + filter.bias.astype(compute)[None, None, :]


def fold(filter: Filter, affine: Affine) -> Filter:
    """One filter for a convolution and the normalization behind it."""
    bias = affine.offset if filter.bias is None else filter.bias * affine.factor + affine.offset
    return Filter(filter.kernel * affine.factor[None, None, :], bias)


def wide(x: jax.Array) -> jax.Array:
    """`x` in a type that sums can be made in: float32, or float64 where it is."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def keep(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`x` with zeros outside `valid`."""
    return x if valid is None else jnp.where(valid, x, jnp.zeros((), x.dtype))


def applied(affine: Affine, x: jax.Array) -> jax.Array:
    """x · factor + offset, [B, T, F], computed in float32 and given in the type of `x`."""
    return (x * affine.factor[None, None, :] + affine.offset[None, None, :]).astype(x.dtype)


def normalized(x: jax.Array, norm: Norm, *, train: bool, valid: jax.Array | None) -> jax.Array:
    """Batch normalization of [B, T, F] over batch and time, statistics from valid positions only."""
    return keep(applied(norm(moments(x, valid) if train else None), x), valid)


def moments(x: jax.Array, valid: jax.Array | None) -> Moments:
    """Of [B, T, F] over batch and (valid) time.

    Without an activation before it, a channel's mean may be large beside its spread, and E[x²] − (E x)² would lose the
    digits that matter. So the variance is the mean squared distance from the mean where there is a mask, and else, in
    one pass over the batch instead of two, that from the first recording's mean, corrected; any constant will do.
    """
    x = wide(x)
    if valid is None:
        near = jax.lax.stop_gradient(jnp.mean(x[0], axis=0))
        distance = x - near[None, None, :]
        mean = jnp.mean(distance, axis=(0, 1))
        variance = jnp.mean(jnp.square(distance), axis=(0, 1)) - jnp.square(mean)
        return Moments(near + mean, jnp.maximum(variance, 0.0))
    count = jnp.sum(valid)
    mean = jnp.sum(keep(x, valid), axis=(0, 1)) / count
    return Moments(mean, jnp.sum(keep(jnp.square(x - mean[None, None, :]), valid), axis=(0, 1)) / count)


def max_pool3(x: jax.Array) -> jax.Array:
    """Max over windows of 3 with stride 3 and "same" padding: [B, T, F] → [B, ⌈T/3⌉, F].

    Written as two elementwise maxima: the numbers are those of `reduce_window`, and the gradient is a selection
    instead of a scatter, which costs a thirtieth of it on a CPU. Where several are largest they share the gradient.
    """
    time = x.shape[1]
    bins = -(-time // 3)
    missing = 3 * bins - time
    if missing:
        left = missing // 2
        x = jnp.pad(x, ((0, 0), (left, missing - left), (0, 0)), constant_values=-jnp.inf)
    x = x.reshape(x.shape[0], bins, 3, x.shape[2])
    return jnp.maximum(jnp.maximum(x[:, :, 0], x[:, :, 1]), x[:, :, 2])


def average(x: jax.Array, weights: jax.Array | None) -> jax.Array:
    """Mean over time: [B, T, F] → [B, F] float32.

    Args:
      x: features.
      weights: [B or 1, T, 1], how much each position counts: a mask of the valid ones, or how often each
        occurs. None: all count alike. Positions that count nothing may hold anything.
    """
    x = wide(x)
    if weights is None:
        return jnp.mean(x, axis=1)
    return jnp.sum(jnp.where(weights, x, 0.0) * weights, axis=1) / jnp.sum(weights, axis=1)


class Bottleneck(nn.Module):
    """ResNet bottleneck: 1×1 → F/4, 3 → F/4, 1×1 → F, plus a projected shortcut; no biases.

    Batch normalization after each convolution, ReLU after the first two and after the sum.
    """

    features: int
    compute: DTypeLike | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, valid: jax.Array | None) -> jax.Array:
        narrow = self.features // 4
        shortcut = convolve(x, Conv(self.features, 1, name="shortcut")(x.shape[-1]), self.compute)
        shortcut = normalized(shortcut, Norm(self.features, name="shortcut_norm"), train=train, valid=valid)
        for index, (features, width) in enumerate(((narrow, 1), (narrow, 3), (self.features, 1))):
            x = convolve(x, Conv(features, width, name=f"conv_{index}")(x.shape[-1]), self.compute)
            x = normalized(x, Norm(features, name=f"norm_{index}"), train=train, valid=valid)
            if index < 2:
                x = nn.relu(x)
        return nn.relu(x + shortcut)
