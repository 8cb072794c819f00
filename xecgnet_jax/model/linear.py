"""Convolutions and normalizations as arrays, and what several of them in a row make: one convolution.

The authors' backbone has no activation between its layers, so each group of them between two pools is one linear
function of its input. `merged` uses that in training, `collapsed` in inference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from xecgnet_jax.model.layers import EPSILON, Arithmetic, Array


class ConvParams(NamedTuple):
    """A convolution over time, K odd."""

    kernel: Float[Array, "K F G"]
    bias: Float[Array, " G"]


class Moments(NamedTuple):
    """Mean and (biased) variance of each feature."""

    mean: Float[Array, " F"]
    variance: Float[Array, " F"]


class ScaleShift(NamedTuple):
    """What a normalization does to each feature: x · scale + shift."""

    scale: Float[Array, " F"]
    shift: Float[Array, " F"]

    def apply(self, x: Float[Array, "B T F"]) -> Float[Array, "B T F"]:
        """Computes in float32; the type stays."""
        return (x * self.scale[None, None, :] + self.shift[None, None, :]).astype(x.dtype)


def scale_shift(norm: dict[str, Any], moments: Moments) -> ScaleShift:
    """Returns a batch normalization's scale and shift from its parameters {"scale", "bias"} and moments.

    In JAX or in NumPy, as its arguments are.
    """
    scale = norm["scale"] * (moments.variance + EPSILON) ** -0.5
    return ScaleShift(scale, norm["bias"] - moments.mean * scale)


def convolve(
    x: Float[Array, "B T F"],
    arithmetic: Arithmetic,
    kernel: Float[Array, "K F G"],
    bias: Float[Array, " G"] | None = None,
) -> Float[Array, "B T G"]:
    """Returns the convolution over time with zeros beyond both ends."""
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


def measure_moments(x: Float[Array, "B T F"]) -> Moments:
    """Returns the moments over batch and time, in one pass over the batch.

    The variance is the mean squared distance from the first recording's mean, corrected (any constant will do):
    E[x²] − (E x)² would lose the digits that matter where a mean is large beside its spread.
    """
    near = jax.lax.stop_gradient(jnp.mean(x[0], axis=0, dtype=jnp.promote_types(x.dtype, jnp.float32)))
    distance = x - near[None, None, :]
    mean = jnp.mean(distance, axis=(0, 1))
    variance = jnp.mean(jnp.square(distance), axis=(0, 1)) - jnp.square(mean)
    return Moments(near + mean, jnp.maximum(variance, 0.0))
