"""Layers as Keras computes them, in Linen: convolution, batch normalization, pooling and bottleneck.

Most take an optional `mask` [B, T, 1]. Where it is given, positions outside it are kept at zero before each convolution
and left out of all statistics, so that a recording in a batch padded to a common length gives what it gives alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Int, Shaped

#: Of JAX; arrays of NumPy are taken as well.
if TYPE_CHECKING:
    Array = jax.Array
else:
    Array = jax.Array | np.ndarray

#: Keras's ResNet uses this ε, and the authors took it from there.
EPSILON = 1.001e-5
MOMENTUM = 0.99

#: Positions that are real.
Mask = Bool[Array, "B T 1"] | None
#: How often each position counts in an average.
Weights = Shaped[Array, "#B T 1"] | None
#: How many attention bins, or positions, of each recording are real.
Bins = Int[Array, " B"] | None

kernel_init = nn.initializers.glorot_uniform()


class Arithmetic(NamedTuple):
    """How convolutions compute. Parameters, statistics and sums are float32 (float64 where the signal is).

    Attributes:
      dtype: of the convolutions and of what lies between the layers: bfloat16, or None for the signal's own type.
      precision: of their products; None lets the platform round factors.
    """

    dtype: DTypeLike | None = None
    precision: jax.lax.Precision | None = None


#: Float32 on every platform.
FLOAT32 = Arithmetic(None, jax.lax.Precision.HIGHEST)


def conv(features: int, width: int, arithmetic: Arithmetic, name: str, *, bias: bool = False) -> nn.Conv:
    """Returns a convolution over time with zeros beyond both ends: [B, T, F] → [B, T, features]."""
    return nn.Conv(features, (width,), use_bias=bias, kernel_init=kernel_init, name=name, **arithmetic._asdict())


def batch_norm(train: bool, dtype: DTypeLike | None, name: str) -> nn.BatchNorm:
    """Returns a batch normalization over batch and time, to be called with x [B, T, F] and mask [B, T, 1] or None.

    The variance is the mean squared distance from the mean: without an activation before it a feature's mean may be
    large beside its spread, and E[x²] − (E x)² would lose the digits that matter.
    """
    return nn.BatchNorm(not train, momentum=MOMENTUM, epsilon=EPSILON, use_fast_variance=False, dtype=dtype, name=name)


def valid_positions(bins: Bins, positions: Any, positions_per_bin: int) -> Mask:
    """Returns the mask [B, positions, 1] of the first `bins · positions_per_bin` positions, or None where all count.

    `positions` is a whole number, or a symbolic dimension.
    """
    if bins is None:
        return None
    return (jnp.arange(positions)[None, :] < bins[:, None] * positions_per_bin)[..., None]


def apply_mask(x: Float[Array, "B T F"], mask: Mask) -> Float[Array, "B T F"]:
    """Returns `x` with zeros outside the mask."""
    return x if mask is None else jnp.where(mask, x, jnp.zeros((), x.dtype))


def to_float32(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns `x` in a type that sums can be made in: float32, or float64 where it is."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def max_pool(x: Float[Array, "B T F"], stride: int) -> Float[Array, "B S F"]:
    """Returns the maxima of windows of `stride` positions, "same" padding: [B, T, F] → [B, ⌈T / stride⌉, F].

    Written as elementwise selections: the numbers and the gradient (of several that are largest the first gets it) are
    those of `reduce_window`, and that gradient is a selection instead of a scatter, which costs a thirtieth of it on a
    CPU. `jnp.maximum` would not do: its gradient asks which operand equals the maximum, and a compiler that computes
    the operand again, rounded otherwise, finds none (XLA for CPUs, jax 0.10.2: a sixth of the first layers' gradient).
    """
    bins = -(-x.shape[1] // stride)
    missing = stride * bins - x.shape[1]
    if missing:
        left = missing // 2
        x = jnp.pad(x, ((0, 0), (left, missing - left), (0, 0)), constant_values=-jnp.inf)
    x = x.reshape(x.shape[0], bins, stride, x.shape[2])
    largest = x[:, :, 0]
    for position in range(1, stride):
        other = x[:, :, position]
        largest = jnp.where((largest >= other) | jnp.isnan(largest), largest, other)
    return largest


def average(x: Float[Array, "B T F"], weights: Weights) -> Float[Array, "B F"]:
    """Returns the mean over time, float32.

    Weights are a mask of the positions that count, or how often each does; None: all alike. Positions
    that count nothing may hold anything.
    """
    x = to_float32(x)
    if weights is None:
        return jnp.mean(x, axis=1)
    return jnp.sum(jnp.where(weights, x, 0.0) * weights, axis=1) / jnp.sum(weights, axis=1)


class Bottleneck(nn.Module):
    """ResNet bottleneck: 1×1 → F/4, 3 → F/4, 1×1 → F, plus a 1×1 convolution as the shortcut; no biases.

    Batch normalization after each convolution, ReLU after the first two and after the sum.
    """

    features: int
    arithmetic: Arithmetic = FLOAT32

    @nn.compact
    def __call__(self, x: Float[Array, "B T _"], *, train: bool, mask: Mask) -> Float[Array, "B T F"]:
        how, narrow = self.arithmetic, self.features // 4
        shortcut = conv(self.features, 1, how, "shortcut")(x)
        shortcut = apply_mask(batch_norm(train, how.dtype, "shortcut_norm")(shortcut, mask=mask), mask)
        for index, (features, width) in enumerate(((narrow, 1), (narrow, 3), (self.features, 1))):
            x = conv(features, width, how, f"conv_{index}")(x)
            x = apply_mask(batch_norm(train, how.dtype, f"norm_{index}")(x, mask=mask), mask)
            if index < 2:
                x = nn.relu(x)
        return nn.relu(x + shortcut)
