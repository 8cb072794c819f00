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
from jax.typing import DTypeLike

from xecgnet_jax.model.layers import (
    Affine,
    Bottleneck,
    Conv,
    Moments,
    Norm,
    applied,
    average,
    convolve,
    keep,
    kernel_init,
    max_pool3,
    moments,
    normalized,
    wide,
)
from xecgnet_jax.model.merged import LEAST, convolve_behind, merged_pair, output_moments

#: Features of the backbone's convolutions; a max pool follows each group.
BACKBONE: tuple[tuple[int, ...], ...] = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 256, 128),
)
#: The group of two that is merged in training: few inputs, the largest outputs. Merging the second gains
#: nothing (docs/performance.md).
MERGED = (0,)
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


class RepeatedBin(NamedTuple):
    """One bin of a constant stretch that stands for all of them: what was left out is put into averages and maps.

    Attributes:
      bin: its place.
      more: how many more like it there are.
    """

    bin: int
    more: int

    def counts(self, bins: int) -> np.ndarray:
        """[bins] int64, how many each of `bins` bins stands for."""
        return 1 + self.more * (np.arange(bins) == self.bin)


def trim_padding(longest: int, length: int) -> tuple[int, RepeatedBin | None]:
    """A window of `length` samples that begins with zeros, without most of them: the same network at a lower cost.

    Far from the window's beginning and from the first sample that is not zero, all bins are the same. What is left out
    is whole bins, so that poolings and convolutions meet the rest as before.

    Args:
      longest: samples at the end of the window that may be other than zero.
      length: of the window.

    Returns:
      (samples to compute: the window's last ones, what to give the network as `repeat`); (length, None) where nothing
      can be left out. Few different numbers of samples come of many `longest`.
    """
    # The backbone looks this far beyond a bin: n convolutions reach n positions, which are 3^level samples apart.
    reach = sum(len(group) * 3**level for level, group in enumerate(BACKBONE))
    # Bins on each side that differ because of it, and because the two bottlenecks look one bin further.
    before = -(-reach // BIN) + 2
    needed = longest + (before + 3) * BIN + reach
    more = (length - needed) // BIN
    total = length // BIN
    more = total - bucket(total - more)
    return (length, None) if more <= 0 else (length - more * BIN, RepeatedBin(before, more))


def bucket(bins: int) -> int:
    """`bins`, rounded up in steps of at most a quarter, so that many lengths make few shapes to compile."""
    step = max(1, 2 ** (bins.bit_length() - 3))
    return -(-bins // step) * step


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
    merge: bool
    compute: DTypeLike | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, bins: jax.Array | None) -> jax.Array:
        index = 0
        for level, group in enumerate(BACKBONE):
            valid = valid_bins(bins, x.shape[1], BIN // 3**level)
            x = keep(x, valid)
            features = [scaled_features(one, self.width) for one in group]
            convs = [Conv(one, 3, bias=True, name=f"conv_{index + i}") for i, one in enumerate(features)]
            norms = [Norm(one, name=f"norm_{index + i}") for i, one in enumerate(features)]
            index += len(group)
            linear = self.merge and train and self.activation == "none" and bins is None
            if linear and level in MERGED and x.shape[1] >= LEAST:
                x = self._pair(x, convs, norms)
            elif linear:
                x = self._chain(x, convs, norms)
            else:
                for conv, norm in zip(convs, norms, strict=True):
                    x = convolve(x, conv(x.shape[-1]), self.compute)
                    x = normalized(x, norm, train=train, valid=valid)
                    if self.activation == "relu":
                        x = nn.relu(x)
            x = max_pool3(x)
        return x

    def _pair(self, x: jax.Array, convs: list[Conv], norms: list[Norm]) -> jax.Array:
        """A group of two layers in training, as one convolution."""
        first = convs[0](x.shape[-1])
        second = convs[1](first.kernel.shape[-1])
        of_first, *ends = output_moments(x, first)
        x = merged_pair(x, first, norms[0](of_first), second, (ends[0], ends[1]), self.compute)
        return normalized(x, norms[1], train=True, valid=None)

    def _chain(self, x: jax.Array, convs: list[Conv], norms: list[Norm]) -> jax.Array:
        """A group in training, each normalization but the last inside the next layer's kernel."""
        affine = None
        for conv, norm in zip(convs, norms, strict=True):
            x, constant = convolve_behind(x, affine, conv(x.shape[-1]), self.compute)
            of_x = moments(x, None)
            shifted = norm(Moments(of_x.mean + constant, of_x.variance))
            affine = Affine(shifted.factor, shifted.offset + constant * shifted.factor)
        return x if affine is None else applied(affine, x)


class AttentionBranch(nn.Module):
    """Features [B, S, F] → (logits [B, C], attention map [B, S], response maps [B, S, C])."""

    classes: int
    width: float
    head: Literal["gap", "conv"]
    compute: DTypeLike | None

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, valid: jax.Array | None, weights: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        x = Bottleneck(scaled_features(256, self.width), self.compute, name="bottleneck")(x, train=train, valid=valid)
        x = normalized(x, Norm(x.shape[-1], name="norm"), train=train, valid=valid)
        responses = convolve(x, Conv(self.classes, 1, name="responses")(x.shape[-1]), self.compute)
        responses = wide(keep(nn.relu(responses), valid))
        evidence = responses
        if self.head == "conv":
            evidence = convolve(responses, Conv(self.classes, 1, name="head")(self.classes))
        attention = convolve(responses, Conv(1, 1, name="attention")(self.classes))
        attention = nn.sigmoid(normalized(attention, Norm(1, name="attention_norm"), train=train, valid=valid))
        return average(evidence, weights), keep(attention, valid)[..., 0], responses


class PerceptionBranch(nn.Module):
    """Features [B, S, F] → logits [B, C]."""

    classes: int
    width: float
    compute: DTypeLike | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, valid: jax.Array | None, weights: jax.Array | None) -> jax.Array:
        x = Bottleneck(scaled_features(256, self.width), self.compute, name="bottleneck")(x, train=train, valid=valid)
        x = average(x, weights)
        x = nn.Dense(scaled_features(512, self.width), kernel_init=kernel_init, name="dense_0")(x)
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
      dtype: type of the convolutions and of what lies between layers; parameters, statistics and outputs are float32.
      merge: in training, without an activation, compute the first two convolutions as one and put normalizations into
        the kernels behind them (see `merging`). The same numbers but for rounding; False is the slow way, for checking.
    """

    classes: int = 9
    width: float = 1.0
    attention_head: Literal["gap", "conv"] = "gap"
    activation: Literal["none", "relu"] = "none"
    attention: bool = True
    dtype: Literal["float32", "bfloat16"] = "float32"
    merge: bool = True

    @property
    def compute_type(self) -> DTypeLike | None:
        """What `layers.convolve` takes as `compute`: None, the signal's own type, for float32."""
        return None if self.dtype == "float32" else jnp.dtype(self.dtype)

    def setup(self) -> None:
        compute = self.compute_type
        self.backbone = Backbone(self.width, self.activation, self.merge, compute)
        if self.attention:
            self.attention_branch = AttentionBranch(self.classes, self.width, self.attention_head, compute)
        self.perception_branch = PerceptionBranch(self.classes, self.width, compute)

    def __call__(
        self,
        signal: jax.Array,
        *,
        train: bool = False,
        bins: jax.Array | None = None,
        repeat: RepeatedBin | None = None,
    ) -> Outputs:
        """Applies the network.

        Args:
          signal: [B, T, L] normalized leads.
          train: use the batch's statistics and update the running ones (`mutable=["batch_stats"]`).
          bins: [B] int32, how many attention bins of each recording are real: its first `bins · BIN`
            samples. The rest is padding that changes nothing. None: all of `signal` is real.
            Needs T to be a multiple of `BIN`.
          repeat: the bin that stands for several, see `RepeatedBin`; in inference, without `bins`.

        Returns:
          Outputs, with S = ⌈T / 243⌉ attention bins (pooling in steps of 3), plus the repeated ones.
        """
        if bins is not None and signal.shape[1] % BIN:
            raise ValueError(f"with bins, the signal's length must be a multiple of {BIN}; got {signal.shape[1]}")
        return self.branches(self.backbone(signal, train=train, bins=bins), train=train, bins=bins, repeat=repeat)

    def branches(
        self, features: jax.Array, *, train: bool, bins: jax.Array | None, repeat: RepeatedBin | None = None
    ) -> Outputs:
        """What follows the backbone: its features [B, S, 128 · width] → Outputs."""
        if repeat is not None and (train or bins is not None):
            raise ValueError("a repeated bin is for inference without a mask: leave out train and bins")
        valid = weights = valid_bins(bins, features.shape[1], 1)
        if repeat is not None:
            weights = jnp.asarray(repeat.counts(features.shape[1]), jnp.float32)[None, :, None]
        logits = attention = responses = None
        if self.attention:
            logits, attention, responses = self.attention_branch(features, train=train, valid=valid, weights=weights)
            features = (features * (1 + attention[..., None])).astype(features.dtype)
        perception = self.perception_branch(features, train=train, valid=valid, weights=weights)
        if repeat is not None and attention is not None and responses is not None:
            places = np.repeat(np.arange(attention.shape[1]), repeat.counts(attention.shape[1]))
            attention, responses = attention[:, places], responses[:, places]
        return Outputs(logits, perception, attention, responses)


def scaled_features(features: int, width: float) -> int:
    """`features · width`, kept a multiple of 4 for the bottlenecks."""
    return max(4, 4 * round(features * width / 4))


def valid_bins(bins: jax.Array | None, time: int, samples_per_bin: int) -> jax.Array | None:
    """Mask [B, time, 1] of the first `bins · samples_per_bin` positions."""
    if bins is None:
        return None
    return (jnp.arange(time)[None, :] < bins[:, None] * samples_per_bin)[..., None]
