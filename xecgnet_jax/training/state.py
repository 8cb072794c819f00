"""`TrainState`, the optimizer and the learning rate, from config."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xecgnet_jax.config import Config, ModelConfig, OptimizerConfig
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.model import BIN, XECGNet


class TrainState(NamedTuple):
    """All that a training step reads and writes.

    Attributes:
      step: int32 scalar, steps made.
      variables: {"params", "batch_stats"} that are trained.
      optimizer: the optimizer's state.
      ema: moving ema of `variables`, or None where the config asks for none.
    """

    step: jax.Array
    variables: dict[str, Any]
    optimizer: Any
    ema: dict[str, Any] | None

    @property
    def best(self) -> dict[str, Any]:
        """The variables to predict with: the ema where there is one."""
        return self.variables if self.ema is None else self.ema


def build_model(config: ModelConfig, classes: int) -> XECGNet:
    return XECGNet(
        classes=classes,
        width=config.width,
        attention_head=config.attention_head,
        activation=config.activation,
        attention=config.attention,
        dtype=config.dtype,
    )


def learning_rate(config: OptimizerConfig, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Step → learning rate: linear warm-up, then constant or a cosine to zero at the last epoch."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, max(1, epochs * steps_per_epoch - warmup))
    else:
        after = optax.constant_schedule(config.learning_rate)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, config.learning_rate, warmup), after], [warmup])


def build_optimizer(config: OptimizerConfig, epochs: int, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam or AdamW (kernels decay, biases and normalizations do not), with a limit on the gradient's norm."""
    rate = learning_rate(config, epochs, steps_per_epoch)
    if config.optimizer == "adamw":
        kernels = lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)  # noqa: E731
        adam = optax.adamw(rate, eps=config.epsilon, weight_decay=config.weight_decay, mask=kernels)
    else:
        adam = _keras_adam(rate, config.epsilon)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam) if config.clip_norm else adam


def _keras_adam(rate: optax.Schedule, epsilon: float) -> optax.GradientTransformation:
    """Adam as Keras computes it: ε is added before the bias correction of the second moment.

    That is Kingma & Ba's ε̂ (section 2 of arXiv:1412.6980). Optax adds its ε after the correction, so it is
    ε̂ / √(1 − β₂ᵗ), which falls from 32 ε̂ at the first step to ε̂.
    """
    decay = 0.999

    def corrected(count: jax.Array) -> jax.Array:
        return epsilon / jnp.sqrt(1 - decay ** (count + 1.0))

    scale = optax.inject_hyperparams(optax.scale_by_adam)(b1=0.9, b2=decay, eps=corrected)
    return optax.chain(scale, optax.scale_by_learning_rate(rate))


def init_state(
    config: Config, classes: int, optimizer: optax.GradientTransformation, seed: jax.Array | int
) -> TrainState:
    """The state before step 0; the seed may be traced, so that one compiled program serves all seeds."""
    model = build_model(config.model, classes)
    key = jax.random.fold_in(jax.random.key(seed), 0)
    variables = _drawn(dict(model.init(key, jnp.zeros((1, BIN, len(LEADS))))), key)
    ema = jax.tree.map(jnp.copy, variables) if config.optimizer.ema_decay else None
    return TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(variables["params"]), ema)


def _drawn(variables: dict[str, Any], key: jax.Array) -> dict[str, Any]:
    """The variables with all kernels drawn anew, Glorot-uniform as the model draws them, by one generator for all.

    A generator for each kernel takes a second to compile, and there are two dozen: unused ones are not compiled.
    """
    leaves, structure = jax.tree.flatten_with_path(variables)
    kernels = [number for number, (path, _) in enumerate(leaves) if path[-1].key == "kernel"]
    values = [leaf for _, leaf in leaves]
    largest = max(values[number].size for number in kernels)
    keys = jax.random.split(jax.random.fold_in(key, 1), len(kernels))
    draws = jax.lax.map(lambda one: jax.random.uniform(one, (largest,), minval=-1.0, maxval=1.0), keys)
    for draw, number in zip(draws, kernels, strict=True):
        *positions, inputs, outputs = values[number].shape
        limit = np.sqrt(6 / (math.prod(positions) * (inputs + outputs)))
        values[number] = limit * draw[: values[number].size].reshape(values[number].shape)
    return jax.tree.unflatten(structure, values)
