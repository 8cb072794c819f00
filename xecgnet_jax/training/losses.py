"""The losses of an epoch, summed on the device step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.errors import DivergedError
from xecgnet_jax.training.step import METRICS, Metrics


class Losses(NamedTuple):
    """The losses of a running epoch.

    Attributes:
      sums: over the steps of the running epoch, float32, by name.
      latest: the metrics of the latest step, or of the first that was not finite.
      diverged: int32, the first step with a metric that is not finite; −1: none.
    """

    sums: dict[str, Any]
    latest: dict[str, Any]
    diverged: Any


def begun(sums: Mapping[str, float]) -> Losses:
    """Of an epoch that begins, or goes on with the sums that a checkpoint kept; as NumPy arrays."""
    return Losses(
        {name: np.float32(sums.get(name, 0.0)) for name in METRICS},
        {name: np.float32(np.nan) for name in METRICS},
        np.int32(-1),
    )


def added(losses: Losses, step: jax.Array, metrics: Metrics) -> Losses:
    """With the metrics of step number `step`."""
    well = losses.diverged < 0
    finite = jnp.all(jnp.stack([jnp.isfinite(value) for value in metrics.values()]))
    return Losses(
        {name: losses.sums[name] + value for name, value in metrics.items()},
        {name: jnp.where(well, value, losses.latest[name]) for name, value in metrics.items()},
        jnp.where(well & ~finite, step, losses.diverged),
    )


def check(losses: Losses) -> None:
    """Raises DivergedError where a step was not finite, naming it; `losses` as NumPy arrays."""
    if losses.diverged >= 0:
        values = ", ".join(f"{name} {float(value):g}" for name, value in losses.latest.items())
        raise DivergedError(
            f"the loss of step {int(losses.diverged)} is not finite ({values}); lower --learning-rate or set "
            "--clip-norm, in another --workdir"
        )
