"""The network for inference, with fewer operations: `collapse` gives a model of the same Outputs.

In inference a normalization is a multiplication and an addition, so it goes into the convolution before it; and where
no activation stands between the backbone's layers, all convolutions of a group are one of width 5 or 7. Zero padding
of the inner layers makes the ends of the time axis differ: a few positions there are computed layer by layer, so that
the result is that of the plain network at every position, whatever the length.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from xecgnet_jax.model.bins import RepeatedBin, bucket, positions_per_bin
from xecgnet_jax.model.layers import FLOAT32, Arithmetic, Array, Bins, apply_mask, max_pool, valid_positions
from xecgnet_jax.model.linear import ConvParams, Moments, compose, convolve, fold, scale_shift
from xecgnet_jax.model.xecgnet import BACKBONE, Outputs, XECGNet


class End(NamedTuple):
    """What n layers make of an end of the time axis: its 2n − 1 outermost inputs → its n − 1 outermost outputs.

    With inputs (2n − 1) · F, outputs (n − 1) · G.
    """

    matrix: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]


class Chain(NamedTuple):
    """n convolutions of width 3 in a row, with the normalizations behind them folded in.

    Attributes:
      whole: one convolution for all of them, width 2n + 1.
      ends: at the beginning and at the end of the time axis; none for a single layer.
      layers: each by itself.
    """

    whole: ConvParams
    ends: tuple[End, ...]
    layers: tuple[ConvParams, ...]


def make_chain(layers: tuple[ConvParams, ...]) -> Chain:
    """Returns the chain of these layers, computed by NumPy."""
    ends = () if len(layers) == 1 else (_end(layers, 1), _end(layers, 0))
    return Chain(reduce(compose, layers), ends, layers)


class Collapsed(NamedTuple):
    """A network for inference: `apply(variables, signal, bins=None, repeat=None)`, as `XECGNet.__call__`."""

    apply: Callable[..., Outputs]
    variables: dict[str, Any]


def collapse(model: XECGNet, variables: dict[str, Any]) -> Collapsed:
    """Returns a network and its {"params", "batch_stats"} for inference, with fewer operations.

    What it is applied with is made by NumPy in float64, so `variables` cannot be traced; `apply` is pure, to be jitted.
    """
    double = {kind: jax.tree.map(np.float64, variables[kind]["backbone"]) for kind in ("params", "batch_stats")}
    folded = []
    for index in range(sum(map(len, BACKBONE))):
        norm, running = double["params"][f"norm_{index}"], double["batch_stats"][f"norm_{index}"]
        after = scale_shift(norm, Moments(running["mean"], running["var"]))
        folded.append(fold(ConvParams(**double["params"][f"conv_{index}"]), after))
    layers, groups = iter(folded), []
    for group in BACKBONE:
        in_group = tuple(itertools.islice(layers, len(group)))
        chains = (in_group,) if model.activation == "none" else tuple((layer,) for layer in in_group)
        groups.append(tuple(map(make_chain, chains)))
    branches = {name: {k: v for k, v in tree.items() if k != "backbone"} for name, tree in variables.items()}
    backbone = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tuple(groups))
    return Collapsed(partial(apply_collapsed, model), {"backbone": backbone, "branches": branches})


def apply_collapsed(
    model: XECGNet,
    variables: dict[str, Any],
    signal: Float[Array, "B T L"],
    *,
    train: bool = False,
    bins: Bins = None,
    repeat: RepeatedBin | None = None,
) -> Outputs:
    """Applies the network as `XECGNet.__call__` does in inference, with the variables that `collapse` makes.

    Raises:
      ValueError: asked to train: the layers are no longer there.
    """
    if train:
        raise ValueError("a collapsed network cannot be trained; train the plain one and collapse it anew")
    x = signal
    levels = positions_per_bin(model.pools)
    for chains, stride, positions in zip(variables["backbone"], model.pools, levels, strict=False):
        real = None if bins is None else bins * positions
        mask = valid_positions(bins, x.shape[1], positions)
        x = apply_mask(x, mask)
        for chain in chains:
            x = apply_mask(convolve_chain(x, chain, real, model.arithmetic), mask)
            if model.activation == "relu":
                x = jax.nn.relu(x)
        x = max_pool(x, stride)
    apply: Any = model.apply
    return apply(variables["branches"], x, train=False, bins=bins, repeat=repeat, method="branches")


def convolve_chain(
    x: Float[Array, "B T F"], chain: Chain, real: Bins, arithmetic: Arithmetic = FLOAT32
) -> Float[Array, "B T G"]:
    """Returns what the chain's layers make of x one after another, each with zero padding.

    Args:
      x: zero outside the real positions.
      chain: n layers of width 3, and the one of width 2n + 1 for all.
      real: how many positions are real, from the first on; None: all. The others get anything.
      arithmetic: of the convolutions.
    """
    n = len(chain.layers)
    batch, time = x.shape[:2]
    # The first and last n − 1 outputs see inner padding; an end of 2n − 1 inputs decides those of its side.
    beside, end = n - 1, 2 * n - 1
    if not beside:
        return convolve(x, arithmetic, *chain.whole)
    start = jnp.zeros(batch, jnp.int32)
    if time <= end:
        return _layer_by_layer(x, chain.layers, start, real, arithmetic)
    y = convolve(x, arithmetic, *chain.whole)
    if real is None:
        left, right = (
            jnp.dot(inputs.reshape(batch, -1), matrix.astype(x.dtype), precision=arithmetic.precision) + bias[None]
            for inputs, (matrix, bias) in zip((x[:, :end], x[:, -end:]), chain.ends, strict=True)
        )
        y = y.at[:, :beside].set(left.reshape(batch, beside, -1).astype(y.dtype))
        return y.at[:, -beside:].set(right.reshape(batch, beside, -1).astype(y.dtype))
    # The end of each recording: its positions from real − end on, which may begin before the recording.
    padded = jnp.pad(x, ((0, 0), (end, 0), (0, 0)))
    inputs = jax.vmap(partial(jax.lax.dynamic_slice_in_dim, slice_size=end))(padded, real)
    right = _layer_by_layer(inputs, chain.layers, real - end, real, arithmetic)[:, -beside:]
    y = jax.vmap(partial(jax.lax.dynamic_update_slice_in_dim, axis=0))(y, right, real - beside)
    # Of a recording shorter than its end, what was just written stands at its beginning: that is right from here on.
    return y.at[:, :beside].set(_layer_by_layer(x[:, :end], chain.layers, start, real, arithmetic)[:, :beside])


def _end(layers: tuple[ConvParams, ...], before: int) -> End:
    """The layers' matrix at one end, in NumPy.

    One zero stands `before` the end's inputs (1: at the beginning) or after them (0), so that each layer gives one
    position less than it takes.
    """
    end = 2 * len(layers) - 1
    first, *others = layers
    features, outputs = first.kernel.shape[1:]
    # What the first layer makes of each input alone: its taps, in their places.
    matrix = np.zeros((end, features, end - 1, outputs))
    for position, tap in itertools.product(range(end - 1), range(3)):
        if 0 <= position + tap - before < end:
            matrix[position + tap - before, :, position] = first.kernel[tap]
    inputs = matrix.reshape(end * features, end - 1, outputs)
    bias = np.broadcast_to(first.bias, (1, end - 1, outputs))
    for layer in others:
        inputs, bias = (_through(x, np.asarray(layer.kernel), before) for x in (inputs, bias))
        bias = bias + np.asarray(layer.bias)
    arrays: Any = (inputs.reshape(end * features, -1), bias.reshape(-1))
    return End(*arrays)


def _through(
    x: Float[np.ndarray, "B T F"], kernel: Float[np.ndarray, "3 F G"], before: int
) -> Float[np.ndarray, "B T-1 G"]:
    """A convolution of width 3, padded by one position before or after."""
    x = np.pad(x, ((0, 0), (before, 1 - before), (0, 0)))
    batch, positions, features = len(x), x.shape[1] - 2, x.shape[2]
    taps = [x[:, tap : tap + positions].reshape(-1, features) @ kernel[tap] for tap in range(3)]
    return np.sum(taps, axis=0).reshape(batch, positions, -1)


def _layer_by_layer(
    x: Float[Array, "B T F"],
    layers: tuple[ConvParams, ...],
    first: Int[Array, " B"],
    real: Bins,
    arithmetic: Arithmetic,
) -> Float[Array, "B T G"]:
    """All layers on a stretch that begins at position `first` of each recording, padding kept at zero."""
    position = first[:, None] + jnp.arange(x.shape[1])[None, :]
    inside = position >= 0
    if real is not None:
        inside = inside & (position < real[:, None])
    for layer in layers:
        x = apply_mask(convolve(x, arithmetic, *layer), inside[..., None])
    return x


def trim_padding(longest: int, length: int, pools: tuple[int, ...]) -> tuple[int, RepeatedBin | None]:
    """Leaves out most zeros of windows of `length` samples that begin with zeros: the same network at a lower cost.

    Far from the window's beginning and from the first sample that is not zero, all bins are the same. What is left out
    is whole bins, so that poolings and convolutions meet the rest as before.

    Args:
      longest: samples at the end of the window that may be other than zero.
      length: of the window.
      pools: of the network.

    Returns:
      (samples to compute: the window's last ones, what to give the network as `repeat`); (length, None) where nothing
      can be left out. Few different numbers of samples come of many `longest`.
    """
    # The backbone looks this far beyond a bin: n convolutions reach n positions, each so many samples apart.
    levels = positions_per_bin(pools)
    per_bin = levels[0]
    apart = (per_bin // positions for positions in levels)
    reach = sum(len(group) * samples for group, samples in zip(BACKBONE, apart, strict=False))
    # Bins on each side that differ because of it, and because the two bottlenecks look one bin further.
    before = -(-reach // per_bin) + 2
    needed = longest + (before + 3) * per_bin + reach
    total = length // per_bin
    more = total - bucket(total - (length - needed) // per_bin)
    return (length, None) if more <= 0 else (length - more * per_bin, RepeatedBin(before, more))
