"""The network in training, with fewer operations: `apply_merged` computes what `XECGNet.apply` does.

Two things stand in the way of making one convolution of the backbone's linear groups, and are dealt with exactly here:
each layer pads with zeros *its own* input, so that what is merged is wrong near both ends of the time axis; and in
training a normalization wants the moments of a layer's output, which is never made.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from xecgnet_jax.model.layers import FLOAT32, MOMENTUM, Arithmetic, Array, Bins, max_pool, to_float32
from xecgnet_jax.model.linear import (
    ConvParams,
    Moments,
    ScaleShift,
    compose,
    convolve,
    fold,
    measure_moments,
    scale_shift,
)
from xecgnet_jax.model.xecgnet import BACKBONE, Outputs, XECGNet

#: The first group (few inputs, the largest outputs) becomes one convolution from this many positions on; its ends,
#: three positions each, are computed layer by layer. Merging the second gains nothing (docs/performance.md).
LEAST = 6

Variables = dict[str, Any]


def apply_merged(
    model: XECGNet,
    variables: Variables,
    signal: Float[Array, "B T L"],
    *,
    train: bool = True,
    bins: Bins = None,
    mutable: list[str] | None = None,
) -> tuple[Outputs, Variables]:
    """Applies the network as `model.apply(…, train=True, mutable=["batch_stats"])` does, but for rounding.

    The first two convolutions are one, and other normalizations are inside the kernels behind them. That needs layers
    without an activation between them, and a batch without padding.

    Args:
      model, variables: the network, and its {"params", "batch_stats"}.
      signal: normalized leads.
      train, bins, mutable: as a step gives them to `model.apply`: True, None and ["batch_stats"].

    Returns:
      (Outputs, {"batch_stats"} after the step).

    Raises:
      ValueError: the network has activations between its layers, or it is asked to mask, or for inference.
    """
    if model.activation != "none" or bins is not None or not train:
        raise ValueError("only training of linear layers without a mask can be merged; use model.apply")
    params, running = variables["params"]["backbone"], variables["batch_stats"]["backbone"]
    x, layer = signal, 0
    statistics: Variables = {}
    for group, stride in zip(BACKBONE, model.pools, strict=True):
        layers = range(layer, layer + len(group))
        convs = [ConvParams(**params[f"conv_{index}"]) for index in layers]
        norms = [params[f"norm_{index}"] for index in layers]
        together = _apply_pair if layer == 0 and x.shape[1] >= LEAST else _apply_chain
        x, moments = together(x, convs, norms, model.arithmetic)
        for index, found in zip(layers, moments, strict=True):
            before = running[f"norm_{index}"]
            statistics[f"norm_{index}"] = {
                "mean": MOMENTUM * before["mean"] + (1 - MOMENTUM) * found.mean,
                "var": MOMENTUM * before["var"] + (1 - MOMENTUM) * found.variance,
            }
        x = max_pool(x, stride)
        layer += len(group)
    apply: Any = model.apply
    outputs, updated = apply(variables, x, train=True, bins=None, mutable=["batch_stats"], method="branches")
    return outputs, {"batch_stats": dict(updated["batch_stats"]) | {"backbone": statistics}}


def _apply_pair(
    x: Float[Array, "B T F"], convs: list[ConvParams], norms: list[Variables], arithmetic: Arithmetic
) -> tuple[Float[Array, "B T G"], list[Moments]]:
    """Two layers as one convolution → (their output, the moments of both layers' outputs)."""
    first, second = convs
    inner, *ends = output_moments(x, first)
    x = convolve_pair(x, first, scale_shift(norms[0], inner), second, (ends[0], ends[1]), arithmetic)
    outer = measure_moments(x)
    return scale_shift(norms[1], outer).apply(x), [inner, outer]


def _apply_chain(
    x: Float[Array, "B T F"], convs: list[ConvParams], norms: list[Variables], arithmetic: Arithmetic
) -> tuple[Float[Array, "B T G"], list[Moments]]:
    """Layers one after another, each normalization but the last inside the next layer's kernel: as `_apply_pair`."""
    before, found = None, []
    for conv, norm in zip(convs, norms, strict=True):
        x, constant = convolve_normalized(x, before, conv, arithmetic)
        moments = measure_moments(x)
        # The output is x + constant: its mean is moved by it, and normalizing takes it away again.
        found.append(Moments(moments.mean + constant, moments.variance))
        before = scale_shift(norm, found[-1])
        before = ScaleShift(before.scale, before.shift + constant * before.scale)
    return x if before is None else before.apply(x), found


def output_moments(
    x: Float[Array, "B T F"], conv: ConvParams
) -> tuple[Moments, Float[Array, "B 2 G"], Float[Array, "B 2 G"]]:
    """Returns the moments over batch and time of a convolution's output, width 3, without making the output.

    Inside, the output is a weighted sum of three neighboring positions of the input, so its variance is a quadratic
    form: kernelᵀ · covariance of such triples · kernel. The first and last output, which see the padding, are made.
    The input, T at least 3, is centered first, so that no digits are lost to a large mean; products are in
    float32 on all platforms.

    Returns:
      (moments, outputs at the first two positions, at the last two), before normalizing.
    """
    time, features = x.shape[1:]
    x = to_float32(x)
    with jax.default_matmul_precision("highest"):
        first = convolve(x[:, :3], FLOAT32, *conv)[:, :2]
        last = convolve(x[:, -3:], FLOAT32, *conv)[:, 1:]
        kernel = conv.kernel.reshape(3 * features, -1)
        # Any center gives the same variance; the gradient through it is zero and need not be computed.
        center = jax.lax.stop_gradient(jnp.mean(x, axis=(0, 1)))
        centered = x - center[None, None, :]
        triples = jnp.concatenate([centered[:, :-2], centered[:, 1:-1], centered[:, 2:]], axis=-1)
        mean_inside = jnp.mean(triples, axis=(0, 1))
        products = jnp.einsum("btf,btg->fg", triples, triples) / (triples.shape[0] * triples.shape[1])
        covariance = products - mean_inside[:, None] * mean_inside[None, :]
        inside = jnp.dot(mean_inside, kernel) + jnp.dot(center, jnp.sum(conv.kernel, axis=0)) + conv.bias
        variance_inside = jnp.maximum(jnp.sum(jnp.dot(covariance, kernel) * kernel, axis=0), 0.0)
    ends = jnp.concatenate([first[:, :1], last[:, 1:]], axis=1)
    mean = ((time - 2) * inside + jnp.sum(jnp.mean(ends, axis=0), axis=0)) / time
    spread = jnp.sum(jnp.mean(jnp.square(ends - mean[None, None, :]), axis=0), axis=0)
    variance = ((time - 2) * (variance_inside + jnp.square(inside - mean)) + spread) / time
    return Moments(mean, variance), first, last


def convolve_pair(
    x: Float[Array, "B T F"],
    first: ConvParams,
    between: ScaleShift,
    second: ConvParams,
    ends: tuple[Float[Array, "B 2 H"], Float[Array, "B 2 H"]],
    arithmetic: Arithmetic,
) -> Float[Array, "B T G"]:
    """Returns second(between(first(x))) as one convolution of width 5, exact at every position.

    `ends` are the outputs of `first` at the first two and last two positions, from `output_moments`.
    """
    y = convolve(x, arithmetic, *compose(fold(first, between), second))
    left, right = (convolve(between.apply(end), arithmetic, *second) for end in ends)
    return y.at[:, :1].set(left[:, :1]).at[:, -1:].set(right[:, -1:])


def convolve_normalized(
    x: Float[Array, "B T F"], before: ScaleShift | None, conv: ConvParams, arithmetic: Arithmetic
) -> tuple[Float[Array, "B T G"], Float[Array, " G"]]:
    """Returns conv(before(x)) but for a constant, without making before(x): its scales are put into the kernel.

    The input is read and written once less, and the gradients of scales and shifts come from that of the kernel,
    without sums over positions. The constant is left to the normalization behind, which takes it away again. Where
    `before` is None, there is no normalization before the convolution.

    Returns:
      (y, constant): conv(before(x)) = y + constant at every position.
    """
    if before is None:
        return convolve(x, arithmetic, conv.kernel), conv.bias
    y = convolve(x, arithmetic, conv.kernel * before.scale[None, :, None])
    with jax.default_matmul_precision("highest"):
        left, here, right = jnp.einsum("f,kfg->kg", before.shift, conv.kernel)
    # What is beside the first and the last position is zero behind the normalization, which shifts nothing there.
    y = y.at[:, :1].add(-left.astype(y.dtype)[None, None, :]).at[:, -1:].add(-right.astype(y.dtype)[None, None, :])
    return y, conv.bias + left + here + right
