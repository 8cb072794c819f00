"""Convolutions and normalizations as arrays, and what several of them in a row make: one convolution.

The authors' backbone has no activation between its layers, so each group of them between two pools is one linear
function of its input. `merged` uses that in training, `collapsed` in inference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from xecgnet_jax.model.layers import EPSILON, Arithmetic


class ConvParams(NamedTuple):
    """A convolution over time: kernel [K, F, G], K odd, and bias [G]."""

    kernel: jax.Array
    bias: jax.Array


class Moments(NamedTuple):
    """Mean and (biased) variance of each feature, both [F]."""

    mean: jax.Array
    variance: jax.Array


class ScaleShift(NamedTuple):
    """What a normalization does to each feature: x · scale + shift, both [F]."""

    scale: jax.Array
    shift: jax.Array

    def apply(self, x: jax.Array) -> jax.Array:
        """[B, T, F] → the same shape and type, computed in float32."""
        return (x * self.scale[None, None, :] + self.shift[None, None, :]).astype(x.dtype)


def scale_shift(norm: dict[str, Any], moments: Moments) -> ScaleShift:
    """Returns a batch normalization's scale and shift from its parameters {"scale", "bias"} and moments.

    In JAX or in NumPy, as its arguments are.
    """
    scale = norm["scale"] * (moments.variance + EPSILON) ** -0.5
    return ScaleShift(scale, norm["bias"] - moments.mean * scale)


def convolve(x: jax.Array, arithmetic: Arithmetic, kernel: jax.Array, bias: jax.Array | None = None) -> jax.Array:
    """Returns the convolution over time of [B, T, F] with zeros beyond both ends: [B, T, G]."""
    dtype = x.dtype if arithmetic.dtype is None else arithmetic.dtype
    y = jax.lax.conv_general_dilated(
        x.astype(dtype),
        kernel.astype(dtype),
        (1,),
        "SAME",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=arithmetic.precision,
    )
    return y if bias is None else y + bias.astype(dtype)[None, None, :]


def fold(conv: ConvParams, after: ScaleShift) -> ConvParams:
    """Returns one convolution for a convolution and the normalization behind it."""
    bias = conv.bias * after.scale + after.shift
    return ConvParams(conv.kernel * after.scale[None, None, :], bias)


def compose(first: ConvParams, second: ConvParams) -> ConvParams:
    """Returns one convolution for two in a row, where neither sees an end: widths K and M give K + M − 1.

    In JAX or in NumPy, as the parameters are.
    """
    xp = second.kernel.__array_namespace__()
    width, features, inner = first.kernel.shape
    second_width, _, outputs = second.kernel.shape
    with jax.default_matmul_precision("highest"):
        rows = first.kernel.reshape(width * features, inner)
        columns = second.kernel.swapaxes(0, 1).reshape(inner, second_width * outputs)
        product = (rows @ columns).reshape(width, features, second_width, outputs)
        bias = first.bias @ second.kernel.sum(axis=0) + second.bias
    # Products of taps i and j reach the input i + j steps away: polynomials are multiplied like this.
    shifted = [xp.pad(product[:, :, j], ((j, second_width - 1 - j), (0, 0), (0, 0))) for j in range(second_width)]
    return ConvParams(xp.stack(shifted).sum(axis=0), bias)


def measure_moments(x: jax.Array) -> Moments:
    """Returns the moments of [B, T, F] over batch and time, in one pass over the batch.

    The variance is the mean squared distance from the first recording's mean, corrected (any constant will do):
    E[x²] − (E x)² would lose the digits that matter where a mean is large beside its spread.
    """
    near = jax.lax.stop_gradient(jnp.mean(x[0], axis=0, dtype=jnp.promote_types(x.dtype, jnp.float32)))
    distance = x - near[None, None, :]
    mean = jnp.mean(distance, axis=(0, 1))
    variance = jnp.mean(jnp.square(distance), axis=(0, 1)) - jnp.square(mean)
    return Moments(near + mean, jnp.maximum(variance, 0.0))
