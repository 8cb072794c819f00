"""Attention bins: which samples each stands for, and which one stands for several."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from xecgnet_jax.config import POOL_STRIDES

#: Samples per attention bin: what the five poolings make one of (0.486 s at 500 Hz).
SAMPLES_PER_BIN: int = math.prod(POOL_STRIDES)
#: Positions per attention bin before each group of the backbone, and behind the last: 243, 81, 27, 9, 3, 1.
POSITIONS_PER_BIN: tuple[int, ...] = tuple(math.prod(POOL_STRIDES[level:]) for level in range(len(POOL_STRIDES) + 1))


def bin_edges(samples: int) -> Int[np.ndarray, " edges"]:
    """Returns the samples at which the attention bins of a window begin, and its end: 0 to `samples`.

    Bin s stands for the samples edges[s] to edges[s + 1]: those that its poolings take in (the convolutions look
    further to each side). Multiples of `SAMPLES_PER_BIN` where `samples` is one; elsewhere "same" padding shares
    what is missing between both ends, as TensorFlow does: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    sizes = [samples]
    for stride in POOL_STRIDES:
        sizes.append(-(-sizes[-1] // stride))
    edges = np.arange(sizes[-1] + 1, dtype=np.int64)
    for fine, coarse, stride in zip(sizes[-2::-1], sizes[:0:-1], POOL_STRIDES[::-1], strict=True):
        edges = np.clip(stride * edges - (stride * coarse - fine) // 2, 0, fine)
    return edges


class RepeatedBin(NamedTuple):
    """A bin of a constant stretch, and how many more like it were left out: averages and maps count them."""

    bin: int
    more: int

    def counts(self, bins: int) -> Int[np.ndarray, " {bins}"]:
        """Returns how many bins each of `bins` computed ones stands for."""
        return 1 + self.more * (np.arange(bins) == self.bin)


def bucket(bins: int) -> int:
    """Returns `bins` rounded up in steps of at most a quarter, so that many lengths make few shapes to compile."""
    step = max(1, 2 ** (bins.bit_length() - 3))
    return -(-bins // step) * step
