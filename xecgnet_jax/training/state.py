"""`TrainState`, the model, the optimizer and the learning rate of a config."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int, Integer

from xecgnet_jax.config import ModelConfig, OptimizerConfig
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.model import XECGNet
from xecgnet_jax.model.layers import Array

#: Nested dictionaries of arrays: {"params", "batch_stats"}.
Variables = dict[str, Any]


class TrainState(NamedTuple):
    """All that a training step reads and writes.

    Attributes:
      step: steps made.
      variables: {"params", "batch_stats"} that are trained.
      optimizer: the optimizer's state.
      ema: exponential moving average of `variables`, or None where the config asks for none.
    """

    step: Int[Array, ""]
    variables: Variables
    optimizer: optax.OptState
    ema: Variables | None

    @property
    def eval_variables(self) -> Variables:
        """The variables to predict with: the moving average where there is one."""
        return self.variables if self.ema is None else self.ema


def build_model(config: ModelConfig, classes: int) -> XECGNet:
    """Returns the network of a config for so many classes."""
    return XECGNet(classes, **dataclasses.asdict(config))


def init_variables(model: XECGNet, seed: Integer[Array, ""] | int) -> Variables:
    """Returns the first weights, those of `model.init(jax.random.key(seed), signal)`; the seed may be traced."""
    return dict(model.init(jax.random.key(seed), jnp.zeros((1, 1, len(LEADS)))))


def init_state(
    model: XECGNet, optimizer: optax.GradientTransformation, config: OptimizerConfig, seed: Integer[Array, ""] | int
) -> TrainState:
    """Returns the state before step 0; the seed may be traced, so that one compiled program serves all seeds."""
    variables = init_variables(model, seed)
    ema = jax.tree.map(jnp.copy, variables) if config.ema_decay else None
    return TrainState(jnp.zeros((), jnp.int32), variables, optimizer.init(variables["params"]), ema)


def learning_rate(config: OptimizerConfig, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Returns step → learning rate: linear warm-up, then constant or a cosine to zero at the last epoch."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, max(1, epochs * steps_per_epoch - warmup))
    else:
        after = optax.constant_schedule(config.learning_rate)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, config.learning_rate, warmup), after], [warmup])


def build_optimizer(
    config: OptimizerConfig, epochs: int, steps_per_epoch: int, *, frozen: str = "none"
) -> optax.GradientTransformation:
    """Returns Adam or AdamW (kernels decay, biases and normalizations do not), with a limit on the gradient's norm.

    The parameters of the part `frozen` ("backbone") stay as they are.
    """
    rate = learning_rate(config, epochs, steps_per_epoch)
    if config.optimizer == "adamw":
        kernels = lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)  # noqa: E731
        adam = optax.adamw(rate, eps=config.epsilon, weight_decay=config.weight_decay, mask=kernels)
    else:
        adam = _keras_adam(rate, config.epsilon)
    optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), adam) if config.clip_norm else adam
    if frozen == "none":
        return optimizer

    def in_frozen(params: Variables) -> Variables:
        return {part: jax.tree.map(lambda _, part=part: part == frozen, tree) for part, tree in params.items()}

    return optax.chain(optimizer, optax.masked(optax.set_to_zero(), in_frozen))


def _keras_adam(rate: optax.Schedule, epsilon: float) -> optax.GradientTransformation:
    """Returns Adam as Keras computes it: ε is added before the bias correction of the second moment.

    That is Kingma & Ba's ε̂ (section 2 of arXiv:1412.6980). Optax adds its ε after the correction, so it is
    ε̂ / √(1 − β₂ᵗ), which falls from 32 ε̂ at the first step to ε̂.
    """
    decay = 0.999

    def correct(count: Int[Array, ""]) -> Float[Array, ""]:
        return epsilon / jnp.sqrt(1 - decay ** (count + 1.0))

    scale = optax.inject_hyperparams(optax.scale_by_adam)(b1=0.9, b2=decay, eps=correct)
    return optax.chain(scale, optax.scale_by_learning_rate(rate))
