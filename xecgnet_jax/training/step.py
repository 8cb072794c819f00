"""The jitted train step: (state, batch) → (state, metrics)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xecgnet_jax.config import Config, ObjectiveConfig
from xecgnet_jax.data.batches import Batch
from xecgnet_jax.training.augmentation import augment
from xecgnet_jax.training.objective import objective
from xecgnet_jax.training.state import TrainState

Metrics = dict[str, jax.Array]
#: Names of what a step tells.
METRICS = ("loss", "attention_loss", "perception_loss", "alignment", "gradient_norm")


def pos_weight(config: ObjectiveConfig, labels: np.ndarray) -> np.ndarray | None:
    """[C] weights of positives from the training part's labels [R, C], or None where all weigh alike."""
    if not config.pos_weight_power:
        return None
    positives = labels.sum(axis=0)
    ratio = (len(labels) - positives) / np.maximum(positives, 1)
    return np.clip(ratio**config.pos_weight_power, 1 / config.pos_weight_limit, config.pos_weight_limit).astype(
        np.float32
    )


def loss_settings(config: ObjectiveConfig) -> dict[str, Any]:
    """The keyword arguments of `objective` that a config decides, γ included."""
    switches = ("gamma", "reference", "norm", "term", "reference_gradient")
    losses = ("loss", "asl_gamma_negative", "asl_gamma_positive", "asl_clip")
    return {name: getattr(config, name) for name in switches + losses}


def train_step(
    state: TrainState,
    batch: Batch,
    seed: jax.Array | int,
    *,
    apply: Callable[..., Any],
    optimizer: optax.GradientTransformation,
    config: Config,
    pos_weight: jax.Array | None = None,
    gamma: jax.Array | float | None = None,
) -> tuple[TrainState, Metrics]:
    """One step of gradient descent; pure, to be jitted, vmapped and scanned.

    Args:
      state: before the step.
      batch: of this step.
      seed: of the run's augmentation; may be traced.
      apply: (variables, signal, train, bins, mutable) → (Outputs, updated statistics).
      optimizer: as in the state.
      config: of the run.
      pos_weight: [C], see `pos_weight`.
      gamma: instead of the config's; may be traced.

    Returns:
      (state, {"loss", "attention_loss", "perception_loss", "alignment", "gradient_norm"}), means over the batch.
    """
    if config.data.augment:
        key = jax.random.fold_in(jax.random.key(seed), 3)
        batch = augment(batch, jax.random.fold_in(key, state.step), config.data.augment)
    settings = loss_settings(config.objective)
    if gamma is not None:
        settings["gamma"] = gamma

    def loss(params: Any) -> tuple[jax.Array, tuple[Any, Metrics]]:
        outputs, updated = apply(
            state.variables | {"params": params},
            batch.signal,
            train=True,
            bins=batch.bins,
            mutable=["batch_stats"],
        )
        total, terms = objective(outputs, batch.labels, weights=batch.weights, pos_weight=pos_weight, **settings)
        return total, (updated["batch_stats"], terms)

    (total, (statistics, terms)), gradient = jax.value_and_grad(loss, has_aux=True)(state.variables["params"])
    updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.variables["params"])
    variables = {"params": optax.apply_updates(state.variables["params"], updates), "batch_stats": statistics}
    ema = state.ema
    if ema is not None:
        # A young ema forgets its random beginning faster: decay (1 + t) / (10 + t) until that is the slower.
        decay = jnp.minimum(config.optimizer.ema_decay, (1.0 + state.step) / (10.0 + state.step))
        ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema, variables)
    metrics = {"loss": total, **terms, "gradient_norm": optax.tree.norm(gradient)}
    return TrainState(state.step + 1, variables, optimizer_state, ema), metrics
