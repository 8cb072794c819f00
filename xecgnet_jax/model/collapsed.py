"""The network for inference, with fewer operations: `collapse` gives a model of the same Outputs.

In inference a normalization is a multiplication and an addition, so it goes into the convolution before it; and where
no activation stands between the backbone's layers, all convolutions of a group are one of width 5 or 7. Zero padding
of the inner layers makes the ends of the time axis differ: a few positions there are computed layer by layer, so that
the result is that of the plain network at every position, whatever the length.
"""

from __future__ import annotations

import itertools
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from xecgnet_jax.model.layers import EPSILON, Affine, Filter, convolve, fold, keep, max_pool3
from xecgnet_jax.model.merged import composed
from xecgnet_jax.model.xecgnet import BACKBONE, BIN, Outputs, RepeatedBin, XECGNet, valid_bins


class End(NamedTuple):
    """What n layers make of an end of the time axis: one affine function of its 2n − 1 inputs.

    Attributes:
      matrix: [(2n − 1) · F, (n − 1) · G], from the outermost inputs to the outermost outputs.
      bias: [(n − 1) · G].
    """

    matrix: Any
    bias: Any


class Chain(NamedTuple):
    """n convolutions of width 3 in a row, normalizations folded in.

    Attributes:
      whole: one filter for all of them, width 2n + 1.
      ends: at the beginning and at the end of the time axis; none for a single layer.
      layers: each for itself.
    """

    whole: Filter
    ends: tuple[End, ...]
    layers: tuple[Filter, ...]


def chain(layers: tuple[Filter, ...]) -> Chain:
    """The chain of these layers."""
    whole = reduce(composed, layers)
    ends = () if len(layers) == 1 else (_end(layers, 1), _end(layers, 0))
    return Chain(whole, ends, layers)


class Collapsed(NamedTuple):
    """A network for inference.

    Attributes:
      apply: (variables, signal, bins=None, repeat=None) → Outputs, as `XECGNet.__call__`.
      variables: what it is applied with.
    """

    apply: Any
    variables: dict[str, Any]


def collapse(model: XECGNet, variables: dict[str, Any]) -> Collapsed:
    """The same network with fewer operations, for inference.

    Args:
      model: the network.
      variables: {"params", "batch_stats"} of it.

    Returns:
      A pure function, to be jitted, and its variables. They are made by NumPy in float64: `variables` cannot be traced.
    """
    layers, groups, index = _folded(variables), [], 0
    for group in BACKBONE:
        of_group = layers[index : index + len(group)]
        index += len(group)
        parts = [of_group] if model.activation == "none" else [(layer,) for layer in of_group]
        groups.append(tuple(map(chain, parts)))
    branches = {name: {k: v for k, v in of.items() if k != "backbone"} for name, of in variables.items()}
    backbone = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tuple(groups))
    return Collapsed(partial(apply_collapsed, model), {"backbone": backbone, "branches": branches})


def apply_collapsed(
    model: XECGNet,
    variables: dict[str, Any],
    signal: jax.Array,
    *,
    train: bool = False,
    bins: jax.Array | None = None,
    repeat: RepeatedBin | None = None,
) -> Outputs:
    """As `XECGNet.__call__` in inference, with the variables that `collapse` makes.

    Raises:
      ValueError: asked to train: the layers are no longer there.
    """
    if train:
        raise ValueError("a collapsed network cannot be trained; train the plain one and collapse it anew")
    x = signal
    for level, chains in enumerate(variables["backbone"]):
        real = None if bins is None else bins * (BIN // 3**level)
        valid = valid_bins(bins, x.shape[1], BIN // 3**level)
        x = keep(x, valid)
        for one in chains:
            x = keep(convolve_chain(x, one, real, model.compute_type), valid)
            if model.activation == "relu":
                x = jax.nn.relu(x)
        x = max_pool3(x)
    outputs: Outputs = model.apply(variables["branches"], x, train=False, bins=bins, repeat=repeat, method="branches")  # type: ignore[assignment]
    return outputs


def convolve_chain(x: jax.Array, chain: Chain, real: jax.Array | None, compute: DTypeLike | None = None) -> jax.Array:
    """What the chain's layers make of [B, T, F] one after another, each with zero padding: [B, T, G].

    Args:
      x: zero outside the real positions.
      chain: n layers of width 3, and the one of width 2n + 1 for all.
      real: [B] how many positions are real, from the first on, at least n; None: all. The others get anything.
      compute: type of the convolutions.
    """
    n = len(chain.layers)
    batch, time = x.shape[:2]
    # The first and last n − 1 outputs see inner padding; an end of 2n − 1 inputs decides those of its side.
    beside, end = n - 1, 2 * n - 1
    if not beside:
        return convolve(x, chain.whole, compute)
    start = jnp.zeros(batch, jnp.int32)
    if time <= end:
        return _layer_by_layer(x, chain.layers, start, real, compute)
    y = convolve(x, chain.whole, compute)
    if real is None:
        left, right = (
            (jnp.dot(part.reshape(batch, -1), matrix.astype(part.dtype)) + bias[None]).reshape(batch, beside, -1)
            for part, (matrix, bias) in zip((x[:, :end], x[:, -end:]), chain.ends, strict=True)
        )
        return y.at[:, :beside].set(left.astype(y.dtype)).at[:, -beside:].set(right.astype(y.dtype))
    left = _layer_by_layer(x[:, :end], chain.layers, start, real, compute)[:, :beside]
    y = y.at[:, :beside].set(left)
    # The end of each recording: its positions from real − end on, which may begin before the recording.
    padded = jnp.pad(x, ((0, 0), (end, 0), (0, 0)))
    inputs = jax.vmap(partial(jax.lax.dynamic_slice_in_dim, slice_size=end))(padded, real)
    right = _layer_by_layer(inputs, chain.layers, real - end, real, compute)[:, -beside:]
    return jax.vmap(partial(jax.lax.dynamic_update_slice_in_dim, axis=0))(y, right, real - beside)


def _end(layers: tuple[Filter, ...], before: int) -> End:
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
    bias = np.broadcast_to(_bias(first), (1, end - 1, outputs))
    for layer in others:
        inputs, bias = (_through(x, np.asarray(layer.kernel), before) for x in (inputs, bias))
        bias = bias + _bias(layer)
    return End(inputs.reshape(end * features, -1), bias.reshape(-1))


def _bias(layer: Filter) -> np.ndarray | float:
    return 0.0 if layer.bias is None else np.asarray(layer.bias)


def _through(x: np.ndarray, kernel: np.ndarray, before: int) -> np.ndarray:
    """A convolution of width 3 of [B, T, F], padded by one position before or after: [B, T − 1, G]."""
    x = np.pad(x, ((0, 0), (before, 1 - before), (0, 0)))
    batch, positions, features = len(x), x.shape[1] - 2, x.shape[2]
    taps = [x[:, tap : tap + positions].reshape(-1, features) @ kernel[tap] for tap in range(3)]
    return np.sum(taps, axis=0).reshape(batch, positions, -1)


def _layer_by_layer(
    x: jax.Array, layers: tuple[Filter, ...], first: jax.Array, real: jax.Array | None, compute: DTypeLike | None
) -> jax.Array:
    """All layers on a stretch that begins at position `first` [B] of each recording, padding kept at zero."""
    position = first[:, None] + jnp.arange(x.shape[1])[None, :]
    inside = position >= 0
    if real is not None:
        inside = inside & (position < real[:, None])
    for layer in layers:
        x = keep(convolve(x, layer, compute), inside[..., None])
    return x


def _folded(variables: dict[str, Any]) -> tuple[Filter, ...]:
    """The backbone's convolutions with the running statistics of their normalizations, float64."""
    double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    params, statistics = double["params"]["backbone"], double["batch_stats"]["backbone"]
    folded = []
    for index in range(sum(map(len, BACKBONE))):
        conv, norm, running = params[f"conv_{index}"], params[f"norm_{index}"], statistics[f"norm_{index}"]
        factor = norm["scale"] / np.sqrt(running["var"] + EPSILON)
        folded.append(
            fold(Filter(conv["kernel"], conv["bias"]), Affine(factor, norm["bias"] - running["mean"] * factor))
        )
    return tuple(folded)
