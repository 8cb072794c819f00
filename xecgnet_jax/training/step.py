"""The training step, (state, batch) → (state, metrics), and the sums of an epoch's metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int, Integer, Shaped

from xecgnet_jax.config import Config, ObjectiveConfig
from xecgnet_jax.data.augmentation import augment
from xecgnet_jax.data.batches import Batch
from xecgnet_jax.errors import DivergedError
from xecgnet_jax.model.layers import Array
from xecgnet_jax.training.objective import objective
from xecgnet_jax.training.state import TrainState, Variables

#: Scalars by name, of JAX or of NumPy.
Metrics = dict[str, Any]
#: Names of the metrics of a step.
METRICS = ("loss", "attention_loss", "perception_loss", "alignment", "gradient_norm")


def train_step(
    state: TrainState,
    batch: Batch,
    seed: Integer[Array, ""] | int,
    *,
    apply: Callable[..., Any],
    optimizer: optax.GradientTransformation,
    config: Config,
    pos_weight: Float[Array | np.ndarray, " C"] | None = None,
    gamma: Float[Array, ""] | float | None = None,
    columns: Int[np.ndarray, " A"] | None = None,
) -> tuple[TrainState, Metrics]:
    """Makes one step of gradient descent; pure, to be jitted, vmapped and scanned.

    Args:
      state, batch: before the step, and for it.
      seed: of the run's augmentation; may be traced.
      apply: as a Linen module's: (variables, signal, train, bins, mutable) → (Outputs, updated statistics).
      optimizer: the one whose state `state` holds.
      config: of the run.
      pos_weight: see `class_weights`.
      gamma: instead of the config's; may be traced.
      columns: see `objective`.

    Returns:
      (the state after the step, its `METRICS`: means over the batch, and the norm of the gradient).
    """
    if config.data.augment:
        key = jax.random.fold_in(jax.random.key(seed), 3)
        batch = augment(batch, jax.random.fold_in(key, state.step), config.data.augment, config.data.rate)
    settings = dataclasses.asdict(config.objective)
    del settings["pos_weight_power"], settings["pos_weight_limit"]  # `pos_weight` is made of them
    if gamma is not None:
        settings["gamma"] = gamma

    def loss(params: Variables) -> tuple[jax.Array, tuple[Variables, Metrics]]:
        variables = state.variables | {"params": params}
        outputs, updated = apply(variables, batch.signal, train=True, bins=batch.bins, mutable=["batch_stats"])
        counted: dict[str, Any] = {"weights": batch.weights, "pos_weight": pos_weight, "columns": columns}
        total, terms = objective(outputs, batch.labels, **counted, **settings)
        return total, (updated["batch_stats"], terms)

    (total, (statistics, terms)), gradient = jax.value_and_grad(loss, has_aux=True)(state.variables["params"])
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.variables["params"])
    variables = {"params": optax.apply_updates(state.variables["params"], updates), "batch_stats": statistics}
    ema = state.ema
    if ema is not None:
        # A young average forgets its random beginning faster: decay (1 + t) / (10 + t) until that is the slower.
        decay = jnp.minimum(config.optimizer.ema_decay, (1.0 + state.step) / (10.0 + state.step))
        ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema, variables)
    metrics = {"loss": total, **terms, "gradient_norm": optax.tree.norm(gradient)}
    return TrainState(state.step + 1, variables, optimizer_state, ema), metrics


def class_weights(config: ObjectiveConfig, labels: Shaped[np.ndarray, "R C"]) -> Float[np.ndarray, " C"] | None:
    """Returns the weights of positives from the training part's labels, or None where all weigh alike."""
    if not config.pos_weight_power:
        return None
    positives = labels.sum(axis=0)
    ratio = (len(labels) - positives) / np.maximum(positives, 1)
    limit = config.pos_weight_limit
    return np.clip(ratio**config.pos_weight_power, 1 / limit, limit).astype(np.float32)


class RunningMetrics(NamedTuple):
    """The metrics of a running epoch, summed on the device.

    Attributes:
      sums: over the steps of the epoch, float32 scalars by name.
      latest: the metrics of the latest step, or of the first that was not finite.
      diverged: int32, the first step with a metric that is not finite; −1: none.
    """

    sums: Metrics
    latest: Metrics
    diverged: Any


def zero_metrics(sums: Mapping[str, float]) -> RunningMetrics:
    """Returns the metrics of an epoch that begins, or goes on with the sums that a checkpoint kept; NumPy scalars."""
    first = {name: np.float32(sums.get(name, 0.0)) for name in METRICS}
    return RunningMetrics(first, dict.fromkeys(METRICS, np.float32(np.nan)), np.int32(-1))


def accumulate(running: RunningMetrics, step: Int[Array, ""], metrics: Metrics) -> RunningMetrics:
    """Adds the metrics of step number `step`."""
    well = running.diverged < 0
    finite = jnp.all(jnp.stack([jnp.isfinite(value) for value in metrics.values()]))
    return RunningMetrics(
        {name: running.sums[name] + value for name, value in metrics.items()},
        {name: jnp.where(well, value, running.latest[name]) for name, value in metrics.items()},
        jnp.where(well & ~finite, step, running.diverged),
    )


def check_finite(running: RunningMetrics) -> None:
    """Raises DivergedError where a step was not finite, naming it."""
    if running.diverged >= 0:
        values = ", ".join(f"{name} {float(value):g}" for name, value in running.latest.items())
        raise DivergedError(
            f"the loss of step {int(running.diverged)} is not finite ({values}); lower --learning-rate or set "
            "--clip-norm, in another --workdir"
        )
