"""`TrainState`, the optimiser and the learning rate, from config."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from xecgnet_jax.config import Config, ModelConfig, OptimiserConfig
from xecgnet_jax.data.records import LEADS
from xecgnet_jax.model import BIN, XECGNet


class TrainState(NamedTuple):
    """All that a training step reads and writes.

    Attributes:
      step: int32 scalar, steps made.
      variables: {"params", "batch_stats"} that are trained.
      optimiser: the optimiser's state.
      average: moving average of `variables`, or None where the config asks for none.
    """

    step: jax.Array
    variables: dict[str, Any]
    optimiser: Any
    average: dict[str, Any] | None

    @property
    def best(self) -> dict[str, Any]:
        """The variables to predict with: the average where there is one."""
        return self.variables if self.average is None else self.average


def build_model(config: ModelConfig, classes: int) -> XECGNet:
    return XECGNet(
        classes=classes,
        width=config.width,
        attention_head=config.attention_head,
        activation=config.activation,
        attention=config.attention,
        compute=config.compute,
    )


def learning_rate(config: OptimiserConfig, epochs: int, steps_per_epoch: int) -> optax.Schedule:
    """Step → learning rate: linear warm-up, then constant or a cosine to zero at the last epoch."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, max(1, epochs * steps_per_epoch - warmup))
    else:
        after = optax.constant_schedule(config.learning_rate)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, config.learning_rate, warmup), after], [warmup])


def build_optimiser(config: OptimiserConfig, epochs: int, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam or AdamW (kernels decay, biases and normalisations do not), with a limit on the gradient's norm."""
    rate = learning_rate(config, epochs, steps_per_epoch)
    if config.optimiser == "adamw":
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
    config: Config, classes: int, optimiser: optax.GradientTransformation, seed: jax.Array | int
) -> TrainState:
    """The state before step 0; the seed may be traced, so that one compiled program serves all seeds."""
    model = build_model(config.model, classes)
    key = jax.random.fold_in(jax.random.key(seed), 0)
    variables = dict(model.init(key, jnp.zeros((1, BIN, len(LEADS)))))
    average = jax.tree.map(jnp.copy, variables) if config.optimiser.average else None
    return TrainState(jnp.zeros((), jnp.int32), variables, optimiser.init(variables["params"]), average)
