"""Attention bins: which samples each stands for, and which one stands for several."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


def positions_per_bin(pools: tuple[int, ...]) -> tuple[int, ...]:
    """Returns how many positions make a bin before each group of the backbone, and behind the last: 243, …, 3, 1."""
    return tuple(math.prod(pools[level:]) for level in range(len(pools) + 1))


def bin_edges(samples: int, pools: tuple[int, ...]) -> Int[np.ndarray, " edges"]:
    """Returns the samples at which the attention bins of a window begin, and its end: 0 to `samples`.

    Bin s stands for the samples edges[s] to edges[s + 1]: those that its poolings take in (the convolutions look
    further to each side). Multiples of the product of `pools` where `samples` is one; elsewhere "same" padding shares
    what is missing between both ends, as TensorFlow does: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    sizes = [samples]
    for stride in pools:
        sizes.append(-(-sizes[-1] // stride))
    edges = np.arange(sizes[-1] + 1, dtype=np.int64)
    for fine, coarse, stride in zip(sizes[-2::-1], sizes[:0:-1], pools[::-1], strict=True):
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
