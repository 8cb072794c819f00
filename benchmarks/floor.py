"""The least a training step can do: multiply-adds and bytes, and how fast the machine does either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from xecgnet_jax.model.xecgnet import BACKBONE


class Floor(NamedTuple):
    """The least that one training step in float32 does.

    Attributes:
      multiply_adds: of all convolutions and dense layers: the outputs, the gradients of the kernels, and those of the
        inputs but for the first layer's.
      bytes: of the layers' outputs (written once, read by the next layer and by the backward pass) and their
        gradients (written once, read once), and of the parameters with Adam's two moments and their gradients.
    """

    multiply_adds: int
    bytes: int


def step_floor(params: Mapping[str, Any], batch: int, samples: int) -> Floor:
    """Returns the floor of a step of the network with these parameters on [batch, samples, 12]."""
    levels = [level for level, group in enumerate(BACKBONE) for _ in group]
    forward = first = outputs = parameters = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = [entry.key for entry in path]
        parameters += leaf.size
        if names[-1] != "kernel":
            continue
        positions = batch
        if names[0] == "backbone":
            positions *= _pool_samples(samples, levels[int(names[1].removeprefix("conv_"))])
        elif leaf.ndim == 3:
            positions *= _pool_samples(samples, len(BACKBONE))
        forward += positions * leaf.size
        outputs += positions * leaf.shape[-1]
        if names[:2] == ["backbone", "conv_0"]:
            first = positions * leaf.size
    # Read: parameter, gradient, two moments. Written: gradient, parameter, two moments.
    return Floor(3 * forward - first, 4 * (5 * outputs + 8 * parameters))


def matrix_product(size: int, dtype: Any = jnp.float32, precision: str = "highest") -> tuple[Callable[[], object], int]:
    """Returns (a function that multiplies two square matrices in JAX, its multiply-adds)."""
    one = jnp.full((size, size), 0.5, dtype)
    product = jax.jit(partial(jnp.matmul, precision=precision))
    return lambda: product(one, one).block_until_ready(), size**3


def memory_pass(numbers: int) -> tuple[Callable[[], object], int]:
    """Returns (a function that reads float32s and writes them back in place, its bytes)."""
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    array = jnp.ones(numbers)

    def run() -> None:
        nonlocal array
        array = add(array).block_until_ready()

    return run, 8 * numbers


def _pool_samples(samples: int, times: int) -> int:
    for _ in range(times):
        samples = -(-samples // 3)
    return samples
