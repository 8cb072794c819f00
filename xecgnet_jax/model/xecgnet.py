"""xECGNet: backbone, attention branch, perception branch → `Outputs`.

Source: Yoo, Jun & Kim, Computer Methods and Programs in Biomedicine 208 (2021) 106281, and the authors'
Keras code. Where the two differ, docs/fidelity.md says which switch chooses what.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float

from xecgnet_jax.model.bins import RepeatedBin, positions_per_bin
from xecgnet_jax.model.layers import (
    Arithmetic,
    Array,
    Bins,
    Bottleneck,
    Mask,
    Weights,
    apply_mask,
    average,
    batch_norm,
    conv,
    kernel_init,
    max_pool,
    to_float32,
    valid_positions,
)

#: Features of the backbone's convolutions; a max pool follows each group.
BACKBONE = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 256, 128))

#: Layers whose arrays belong to classes: with other classes they are drawn anew.
CLASS_LAYERS = (
    "attention_branch/responses",
    "attention_branch/head",
    "attention_branch/attention",
    "attention_branch/attention_norm",
    "perception_branch/dense_1",
)


class Outputs(NamedTuple):
    """What the network says of a batch: B recordings, S attention bins, C classes.

    Attributes:
      attention_logits: of the attention head, or None for the plain network.
      perception_logits: of the perception head.
      attention: attention map in (0, 1), or None for the plain network.
      responses: class response maps, ≥ 0, or None for the plain network.
    """

    attention_logits: Float[Array, "B C"] | None
    perception_logits: Float[Array, "B C"]
    attention: Float[Array, "B S"] | None
    responses: Float[Array, "B S C"] | None


def probabilities(outputs: Outputs) -> Float[Array, "B C"]:
    """Returns class probabilities: the mean of the two heads' (of the one head's, for the plain network)."""
    perception = jax.nn.sigmoid(outputs.perception_logits)
    if outputs.attention_logits is None:
        return perception
    return (jax.nn.sigmoid(outputs.attention_logits) + perception) / 2


class Backbone(nn.Module):
    """Thirteen convolutions in five groups, a max pool after each group; F = 128 · width."""

    width: float
    activation: Literal["none", "relu"]
    pools: tuple[int, ...]
    arithmetic: Arithmetic

    @nn.compact
    def __call__(self, x: Float[Array, "B T L"], *, train: bool, bins: Bins) -> Float[Array, "B S F"]:
        how, layer = self.arithmetic, 0
        for group, stride, positions in zip(BACKBONE, self.pools, positions_per_bin(self.pools), strict=False):
            mask = valid_positions(bins, x.shape[1], positions)
            x = apply_mask(x, mask)
            for features in group:
                x = conv(scale_features(features, self.width), 3, how, f"conv_{layer}", bias=True)(x)
                x = apply_mask(batch_norm(train, how.dtype, f"norm_{layer}")(x, mask=mask), mask)
                if self.activation == "relu":
                    x = nn.relu(x)
                layer += 1
            x = max_pool(x, stride)
        return x


class AttentionBranch(nn.Module):
    """Features → (logits, attention map, response maps)."""

    classes: int
    width: float
    head: Literal["gap", "conv"]
    arithmetic: Arithmetic

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T F"], *, train: bool, mask: Mask, weights: Weights
    ) -> tuple[Float[Array, "B C"], Float[Array, "B T"], Float[Array, "B T C"]]:
        how, float32 = self.arithmetic, self.arithmetic._replace(dtype=None)
        x = Bottleneck(scale_features(256, self.width), how, name="bottleneck")(x, train=train, mask=mask)
        x = apply_mask(batch_norm(train, how.dtype, "norm")(x, mask=mask), mask)
        responses = conv(self.classes, 1, how, "responses")(x)
        responses = to_float32(apply_mask(nn.relu(responses), mask))
        evidence = conv(self.classes, 1, float32, "head")(responses) if self.head == "conv" else responses
        attention = conv(1, 1, float32, "attention")(responses)
        attention = nn.sigmoid(batch_norm(train, None, "attention_norm")(attention, mask=mask))
        return average(evidence, weights), apply_mask(attention, mask)[..., 0], responses


class PerceptionBranch(nn.Module):
    """Features → logits."""

    classes: int
    width: float
    arithmetic: Arithmetic

    @nn.compact
    def __call__(self, x: Float[Array, "B T F"], *, train: bool, mask: Mask, weights: Weights) -> Float[Array, "B C"]:
        how = self.arithmetic
        x = Bottleneck(scale_features(256, self.width), how, name="bottleneck")(x, train=train, mask=mask)
        x = average(x, weights)
        for name, features in (("dense_0", scale_features(512, self.width)), ("dense_1", self.classes)):
            x = nn.Dense(features, kernel_init=kernel_init, precision=how.precision, name=name)(x)
        return x


class XECGNet(nn.Module):
    """The authors' final network by default: 4,125,718 parameters, 4,115,476 of them trainable.

    `apply` of this module is the plain way to compute it, layer by layer. `merged.apply_merged` (training) and
    `collapsed.collapse` (inference) compute the same from the same variables with fewer operations.

    Attributes:
      classes: their number C.
      width: multiplies the number of features of every layer but the maps.
      attention_head: "gap" averages the response maps (the authors' final code); "conv" puts a 1×1
        convolution before the average (the Attention Branch Network, and the authors' earlier version).
      activation: between the backbone's layers; "none" is the authors' code.
      attention: False gives the plain backbone with the perception branch as its classifier.
      dtype: type of the convolutions and of what lies between layers; parameters, statistics and outputs are float32.
      matmul_precision: of products in float32: "highest" computes them in float32 on every platform; "high" and
        "default" let GPUs and TPUs round the factors.
      pools: window and stride of each of the five poolings, 1 for none.
    """

    classes: int = 9
    width: float = 1.0
    attention_head: Literal["gap", "conv"] = "gap"
    activation: Literal["none", "relu"] = "none"
    attention: bool = True
    dtype: Literal["float32", "bfloat16"] = "float32"
    matmul_precision: Literal["highest", "high", "default"] = "highest"
    pools: tuple[int, ...] = (3, 3, 3, 3, 3)

    @property
    def samples_per_bin(self) -> int:
        """Samples that an attention bin stands for."""
        return math.prod(self.pools)

    @property
    def arithmetic(self) -> Arithmetic:
        """How its convolutions compute."""
        dtype = None if self.dtype == "float32" else jnp.dtype(self.dtype)
        precision = None if self.matmul_precision == "default" else jax.lax.Precision[self.matmul_precision.upper()]
        return Arithmetic(dtype, precision)

    def setup(self) -> None:
        how = self.arithmetic
        self.backbone = Backbone(self.width, self.activation, self.pools, how)
        if self.attention:
            self.attention_branch = AttentionBranch(self.classes, self.width, self.attention_head, how)
        self.perception_branch = PerceptionBranch(self.classes, self.width, how)

    def __call__(
        self,
        signal: Float[Array, "B T L"],
        *,
        train: bool = False,
        bins: Bins = None,
        repeat: RepeatedBin | None = None,
    ) -> Outputs:
        """Applies the network.

        Args:
          signal: normalized leads.
          train: use the batch's statistics and update the running ones (`mutable=["batch_stats"]`).
          bins: how many attention bins of each recording are real: its first `bins · samples_per_bin`
            samples. The rest is padding that changes nothing. None: all of `signal` is real.
            Needs T to be a multiple of `samples_per_bin`.
          repeat: the bin that stands for several, see `RepeatedBin`; in inference, without `bins`.

        Returns:
          Outputs, with S = ⌈T / samples_per_bin⌉ attention bins, plus the repeated ones.
        """
        per_bin, samples = self.samples_per_bin, signal.shape[1]
        if bins is not None and samples % per_bin:
            raise ValueError(f"with bins, the signal's length must be a multiple of {per_bin}; got {samples}")
        return self.branches(self.backbone(signal, train=train, bins=bins), train=train, bins=bins, repeat=repeat)

    def branches(
        self, features: Float[Array, "B S F"], *, train: bool, bins: Bins, repeat: RepeatedBin | None = None
    ) -> Outputs:
        """Returns what follows the backbone."""
        if repeat is not None and (train or bins is not None):
            raise ValueError("a repeated bin is for inference without a mask: leave out train and bins")
        mask = weights = valid_positions(bins, features.shape[1], 1)
        if repeat is not None:
            weights = jnp.asarray(repeat.counts(features.shape[1]), jnp.float32)[None, :, None]
        logits = attention = responses = None
        if self.attention:
            logits, attention, responses = self.attention_branch(features, train=train, mask=mask, weights=weights)
            features = (features * (1 + attention[..., None])).astype(features.dtype)
        perception = self.perception_branch(features, train=train, mask=mask, weights=weights)
        if repeat is not None and attention is not None and responses is not None:
            places = np.repeat(np.arange(attention.shape[1]), repeat.counts(attention.shape[1]))
            attention, responses = attention[:, places], responses[:, places]
        return Outputs(logits, perception, attention, responses)


def scale_features(features: int, width: float) -> int:
    """Returns `features · width`, kept a multiple of 4 for the bottlenecks."""
    return max(4, 4 * round(features * width / 4))
