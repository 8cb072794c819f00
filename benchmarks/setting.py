"""What the benchmarks share: sizes, the authors' configuration, and batches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.config import Config, preset
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.model import XECGNet

CLASSES: int = 9


@dataclass(frozen=True)
class Setting:
    """How large a benchmark is.

    Attributes:
      quick: a smoke test: a narrow network, short signals, few repetitions. Its numbers mean nothing.
    """

    quick: bool

    @property
    def width(self) -> float:
        return 1 / 16 if self.quick else 1.0

    @property
    def batch_size(self) -> int:
        return 4 if self.quick else 32

    @property
    def samples(self) -> int:
        """Returns T of a crop window."""
        return 2 * XECGNet().samples_per_bin if self.quick else 2880

    def repetitions(self, many: int) -> int:
        return 2 if self.quick else many

    @cached_property
    def config(self) -> Config:
        """The authors' network, objective and optimizer on crop windows."""
        paper = preset("paper-crop")
        return dataclasses.replace(
            paper,
            model=dataclasses.replace(paper.model, width=self.width),
            data=dataclasses.replace(
                paper.data, seconds=self.samples / paper.data.rate, split="stratified", normalize_on="train"
            ),
            batch_size=self.batch_size,
        )

    @cached_property
    def variables(self) -> dict[str, Any]:
        """Returns variables of the network, fresh as from `init`, but drawn by NumPy: nothing is compiled for them."""
        signal = jax.ShapeDtypeStruct((1, 1, len(LEADS)), jnp.float32)
        shapes = jax.eval_shape(XECGNet(width=self.width).init, jax.random.key(0), signal)
        rng = np.random.default_rng(2)

        def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
            name = path[-1].key
            if name != "kernel":
                return jnp.full(leaf.shape, 1.0 if name in ("scale", "var") else 0.0)
            limit = np.sqrt(6 / (np.prod(leaf.shape[:-2]) * sum(leaf.shape[-2:])))  # Glorot's
            return jnp.asarray(rng.uniform(-limit, limit, leaf.shape), jnp.float32)

        return dict(jax.tree_util.tree_map_with_path(draw, shapes))

    def signal(self, recordings: int, samples: int) -> np.ndarray:
        """Returns white noise, [recordings, samples, 12] float32."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((recordings, samples, len(LEADS)), np.float32)

    def labels(self, recordings: int) -> np.ndarray:
        """Returns labels, [recordings, 9] float32, 0 or 1."""
        return (np.random.default_rng(1).random((recordings, CLASSES)) < 0.15).astype(np.float32)
