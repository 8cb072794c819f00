"""xECGNet: backbone, attention branch, perception branch → `Outputs`.

Source: Yoo, Jun & Kim, Computer Methods and Programs in Biomedicine 208 (2021) 106281, and the authors'
Keras code. Where the two differ, docs/fidelity.md says which switch chooses what.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from xecgnet_jax.model.layers import Bottleneck, Norm, average, conv, keep, kernel_init, max_pool3

#: Features of the backbone's convolutions; a max pool follows each group.
BACKBONE: tuple[tuple[int, ...], ...] = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 256, 128),
)
#: Samples per bin of the maps: five pools of stride 3 (0.486 s at 500 Hz).
BIN: int = 3 ** len(BACKBONE)


def bin_edges(samples: int) -> np.ndarray:
    """The samples at which the attention bins of a window begin, and its end: [S + 1] int64, 0 to `samples`.

    Bin s stands for the samples edges[s] to edges[s + 1]: those that its five poolings take in (the convolutions look
    further to each side). Multiples of `BIN` where `samples` is one; elsewhere "same" padding shares
    what is missing between both ends, as TensorFlow does: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    sizes = [samples]
    for _ in BACKBONE:
        sizes.append(-(-sizes[-1] // 3))
    edges = np.arange(sizes[-1] + 1, dtype=np.int64)
    for fine, coarse in zip(sizes[-2::-1], sizes[:0:-1], strict=True):
        edges = np.clip(3 * edges - (3 * coarse - fine) // 2, 0, fine)
    return edges


class Outputs(NamedTuple):
    """What the network says of a batch. B recordings, S attention bins, C classes.

    Attributes:
      attention_logits: [B, C] of the attention head, or None for the plain network.
      perception_logits: [B, C] of the perception head.
      attention: [B, S] attention map in (0, 1), or None for the plain network.
      responses: [B, S, C] class response maps, ≥ 0, or None for the plain network.
    """

    attention_logits: jax.Array | None
    perception_logits: jax.Array
    attention: jax.Array | None
    responses: jax.Array | None


def probabilities(outputs: Outputs) -> jax.Array:
    """Class probabilities [B, C]: the mean of the two heads' (of the one head's, for the plain network)."""
    perception = jax.nn.sigmoid(outputs.perception_logits)
    if outputs.attention_logits is None:
        return perception
    return (jax.nn.sigmoid(outputs.attention_logits) + perception) / 2


class Backbone(nn.Module):
    """Thirteen convolutions in five groups: [B, T, L] → [B, S, 128 · width]."""

    width: float
    activation: Literal["none", "relu"]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, bins: jax.Array | None) -> jax.Array:
        index = 0
        for level, group in enumerate(BACKBONE):
            valid = _valid(bins, x.shape[1], BIN // 3**level)
            x = keep(x, valid)
            for features in group:
                x = conv(_scaled(features, self.width), 3, bias=True, name=f"conv_{index}")(x)
                x = Norm(name=f"norm_{index}")(x, train=train, valid=valid)
                if self.activation == "relu":
                    x = nn.relu(x)
                index += 1
            x = max_pool3(x)
        return x


class AttentionBranch(nn.Module):
    """Features [B, S, F] → (logits [B, C], attention map [B, S], response maps [B, S, C])."""

    classes: int
    width: float
    head: Literal["gap", "conv"]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, valid: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
        x = Bottleneck(_scaled(256, self.width), name="bottleneck")(x, train=train, valid=valid)
        x = Norm(name="norm")(x, train=train, valid=valid)
        responses = keep(nn.relu(conv(self.classes, 1, bias=False, name="responses")(x)), valid)
        evidence = responses
        if self.head == "conv":
            evidence = conv(self.classes, 1, bias=False, name="head")(responses)
        attention = conv(1, 1, bias=False, name="attention")(responses)
        attention = nn.sigmoid(Norm(name="attention_norm")(attention, train=train, valid=valid))
        return average(evidence, valid), keep(attention, valid)[..., 0], responses


class PerceptionBranch(nn.Module):
    """Features [B, S, F] → logits [B, C]."""

    classes: int
    width: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, valid: jax.Array | None) -> jax.Array:
        x = Bottleneck(_scaled(256, self.width), name="bottleneck")(x, train=train, valid=valid)
        x = average(x, valid)
        x = nn.Dense(_scaled(512, self.width), kernel_init=kernel_init, name="dense_0")(x)
        return nn.Dense(self.classes, kernel_init=kernel_init, name="dense_1")(x)


class XECGNet(nn.Module):
    """The authors' final network by default: 4,125,718 parameters, 4,115,476 of them trainable.

    Attributes:
      classes: C.
      width: multiplies the number of features of every layer but the maps.
      attention_head: "gap" averages the response maps (the authors' final code); "conv" puts a 1×1
        convolution before the average (the Attention Branch Network, and the authors' earlier version).
      activation: between the backbone's layers; "none" is the authors' code.
      attention: False gives the plain backbone with the perception branch as its classifier.
    """

    classes: int = 9
    width: float = 1.0
    attention_head: Literal["gap", "conv"] = "gap"
    activation: Literal["none", "relu"] = "none"
    attention: bool = True

    @nn.compact
    def __call__(self, signal: jax.Array, *, train: bool = False, bins: jax.Array | None = None) -> Outputs:
        """Applies the network.

        Args:
          signal: [B, T, L] standardised leads.
          train: use the batch's statistics and update the running ones (`mutable=["batch_stats"]`).
          bins: [B] int32, how many attention bins of each recording are real: its first `bins · BIN`
            samples. The rest is padding that changes nothing. None: all of `signal` is real.
            Needs T to be a multiple of `BIN`.

        Returns:
          Outputs, with S = ⌈T / 243⌉ attention bins (pooling in steps of 3).
        """
        if bins is not None and signal.shape[1] % BIN:
            raise ValueError(f"with bins, the signal's length must be a multiple of {BIN}; got {signal.shape[1]}")
        features = Backbone(self.width, self.activation, name="backbone")(signal, train=train, bins=bins)
        valid = _valid(bins, features.shape[1], 1)
        logits = attention = responses = None
        if self.attention:
            branch = AttentionBranch(self.classes, self.width, self.attention_head, name="attention_branch")
            logits, attention, responses = branch(features, train=train, valid=valid)
            features = features * (1 + attention[..., None])
        perception = PerceptionBranch(self.classes, self.width, name="perception_branch")
        return Outputs(logits, perception(features, train=train, valid=valid), attention, responses)


def _scaled(features: int, width: float) -> int:
    """`features · width`, kept a multiple of 4 for the bottlenecks."""
    return max(4, 4 * round(features * width / 4))


def _valid(bins: jax.Array | None, time: int, samples_per_bin: int) -> jax.Array | None:
    """Mask [B, time, 1] of the first `bins · samples_per_bin` positions."""
    if bins is None:
        return None
    return (jnp.arange(time)[None, :] < bins[:, None] * samples_per_bin)[..., None]
