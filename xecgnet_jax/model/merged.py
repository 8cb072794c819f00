"""Layers without an activation between them: two convolutions as one, normalizations inside the kernels behind them.

The authors' backbone has no activation between its convolutions and normalizations, so each run of them between two
pools is one affine function of its input. Two things stand in the way, and are dealt with exactly here: each layer pads
with zeros *its own* input, so that what is merged is wrong near both ends of the time axis; and in training a
normalization wants the moments of a layer's output, which is never made.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from xecgnet_jax.model.layers import Affine, Filter, Moments, applied, convolve, fold, wide

#: A pair is merged from this many positions on; its ends, three positions each, are computed layer by layer.
LEAST = 6


def composed(first: Filter, second: Filter) -> Filter:
    """One filter for two in a row, where neither sees an end: widths K and M give K + M − 1.

    In JAX or in NumPy, as the filters are.
    """
    xp = second.kernel.__array_namespace__()
    width, features, inner = first.kernel.shape
    wide, _, outputs = second.kernel.shape
    with jax.default_matmul_precision("highest"):
        rows = first.kernel.reshape(width * features, inner)
        columns = second.kernel.swapaxes(0, 1).reshape(inner, wide * outputs)
        product = (rows @ columns).reshape(width, features, wide, outputs)
        bias = second.bias
        if first.bias is not None:
            through = first.bias @ second.kernel.sum(axis=0)
            bias = through if bias is None else through + bias
    # Products of taps i and j reach the input i + j steps away: polynomials are multiplied like this.
    shifted = [xp.pad(product[:, :, j], ((j, wide - 1 - j), (0, 0), (0, 0))) for j in range(wide)]
    return Filter(xp.stack(shifted).sum(axis=0), bias)


def output_moments(x: jax.Array, filter: Filter) -> tuple[Moments, jax.Array, jax.Array]:
    """Moments over batch and time of a convolution's output, width 3, without making the output.

    Inside, the output is a weighted sum of three neighboring positions of the input, so its variance is a quadratic
    form: kernelᵀ · covariance of such triples · kernel. The first and last output, which see the padding, are made.
    The input is centerd first, so that no digits are lost to a large mean.

    Args:
      x: [B, T, F], T at least 3.
      filter: kernel [3, F, G].

    Returns:
      (moments [G], outputs at the first two positions [B, 2, G], at the last two [B, 2, G]), before normalizing.
    """
    time, features = x.shape[1:]
    x = wide(x)
    first = convolve(x[:, :3], filter)[:, :2]
    last = convolve(x[:, -3:], filter)[:, 1:]
    kernel = filter.kernel.reshape(3 * features, -1)
    bias = jnp.zeros(kernel.shape[1]) if filter.bias is None else filter.bias
    # Any center gives the same variance; the gradient through it is zero and need not be computed.
    center = jax.lax.stop_gradient(jnp.mean(x, axis=(0, 1)))
    mean_inside, covariance = _triples(x - center[None, None, :])
    inside = jnp.dot(mean_inside, kernel) + jnp.dot(center, jnp.sum(filter.kernel, axis=0)) + bias
    variance_inside = jnp.maximum(jnp.sum(jnp.dot(covariance, kernel) * kernel, axis=0), 0.0)
    ends = jnp.concatenate([first[:, :1], last[:, 1:]], axis=1)
    mean = ((time - 2) * inside + jnp.sum(jnp.mean(ends, axis=0), axis=0)) / time
    spread = jnp.sum(jnp.mean(jnp.square(ends - mean[None, None, :]), axis=0), axis=0)
    variance = ((time - 2) * (variance_inside + jnp.square(inside - mean)) + spread) / time
    return Moments(mean, variance), first, last


def _triples(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean [3F] and covariance [3F, 3F] of three neighboring positions of [B, T, F]."""
    triples = jnp.concatenate([x[:, :-2], x[:, 1:-1], x[:, 2:]], axis=-1)
    count = triples.shape[0] * triples.shape[1]
    mean = jnp.mean(triples, axis=(0, 1))
    products = jnp.einsum("btf,btg->fg", triples, triples)
    return mean, products / count - mean[:, None] * mean[None, :]


def merged_pair(
    x: jax.Array,
    first: Filter,
    affine: Affine,
    second: Filter,
    ends: tuple[jax.Array, jax.Array],
    compute: DTypeLike | None = None,
) -> jax.Array:
    """second(affine(first(x))) as one convolution of width 5, exact at every position.

    Args:
      x: [B, T, F].
      first, second: filters of width 3.
      affine: the normalization between them.
      ends: outputs of `first` at the first two and last two positions, from `output_moments`.
      compute: type of the convolution.

    Returns:
      [B, T, G].
    """
    y = convolve(x, composed(fold(first, affine), second), compute)
    left, right = (convolve(applied(affine, end), second, compute) for end in ends)
    return y.at[:, :1].set(left[:, :1]).at[:, -1:].set(right[:, -1:])


def convolve_behind(
    x: jax.Array, affine: Affine | None, filter: Filter, compute: DTypeLike | None = None
) -> tuple[jax.Array, jax.Array]:
    """filter(affine(x)) but for a constant, without making affine(x): its factors are put into the kernel.

    The input is read and written once less, and the gradients of factors and offsets come from that of the kernel,
    without sums over positions. The constant is left to the normalization behind, which takes it away again.

    Args:
      x: [B, T, F].
      affine: the normalization before the convolution; None: there is none.
      filter: kernel [3, F, G].
      compute: type of the convolution.

    Returns:
      (y [B, T, G], constant [G]): filter(affine(x)) = y + constant at every position.
    """
    constant = jnp.zeros(filter.kernel.shape[2]) if filter.bias is None else filter.bias
    if affine is None:
        return convolve(x, Filter(filter.kernel, None), compute), constant
    y = convolve(x, Filter(filter.kernel * affine.factor[None, :, None], None), compute)
    with jax.default_matmul_precision("highest"):
        before, here, after = jnp.einsum("f,kfg->kg", affine.offset, filter.kernel)
    # What is beside the first and the last position is zero behind the affine function, which has no offset there.
    y = y.at[:, :1].add(-before.astype(y.dtype)[None, None, :]).at[:, -1:].add(-after.astype(y.dtype)[None, None, :])
    return y, constant + before + here + after
