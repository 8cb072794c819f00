"""bfloat16: what stays float32, and that training ends in the neighborhood of float32."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.numpy_network import random_variables
from xecgnet_jax.config import Config, ModelConfig, OptimizerConfig
from xecgnet_jax.data.batches import Batch
from xecgnet_jax.model import XECGNet, apply_merged, collapse
from xecgnet_jax.training.state import build_model, build_optimizer, init_state
from xecgnet_jax.training.step import train_step

SAMPLES = 972


def test_outputs_and_statistics_stay_float32():
    model = XECGNet(width=0.125, dtype="bfloat16")
    variables = random_variables(model, 0)
    signal = np.random.default_rng(0).standard_normal((2, SAMPLES, 12)).astype(np.float32)
    train = partial(model.apply, train=True, mutable=["batch_stats"])
    outputs, updated = jax.eval_shape(train, variables, signal)
    assert {leaf.dtype for leaf in jax.tree.leaves((outputs, updated, variables))} == {jnp.dtype("float32")}


def test_outputs_are_near_those_of_float32():
    """Rounding to 8 bits, through thirteen layers; the collapsed network too."""
    signal = np.random.default_rng(1).standard_normal((4, SAMPLES, 12)).astype(np.float32)
    exact, rough = XECGNet(width=0.5), XECGNet(width=0.5, dtype="bfloat16")
    variables = random_variables(exact, 1)
    expected = jax.jit(exact.apply)(variables, signal)
    collapsed = collapse(rough, variables)
    for found in (jax.jit(rough.apply)(variables, signal), jax.jit(collapsed.apply)(collapsed.variables, signal)):
        difference = float(jnp.abs(found.attention - expected.attention).max())
        assert 1e-5 < difference < 0.05  # another arithmetic, but the same network
        np.testing.assert_allclose(found.responses, expected.responses, atol=0.05 * float(expected.responses.max()))


def losses_of(dtype: str) -> list[float]:
    """Losses of 60 steps on sinusoids whose frequency tells the class."""
    config = Config(
        model=ModelConfig(width=0.125, dtype=dtype),
        optimizer=OptimizerConfig(optimizer="adamw", learning_rate=3e-3),
        batch_size=16,
    )
    rng = np.random.default_rng(0)
    labels = (rng.random((16, 2)) < 0.5).astype(np.float32)
    seconds = np.arange(SAMPLES)[None, :, None] / 500
    signal = 0.1 * rng.standard_normal((16, SAMPLES, 12))
    for column, frequency in enumerate((4.0, 25.0)):
        signal += labels[:, None, column : column + 1] * np.sin(2 * np.pi * frequency * seconds)
    inside = np.tile(np.array([0, SAMPLES], np.int32), (16, 1))
    batch = Batch(signal.astype(np.float32), labels, np.ones(16, np.float32), None, inside)
    optimizer = build_optimizer(config.optimizer, 1, 60)
    model = build_model(config.model, 2)
    state = init_state(model, optimizer, config.optimizer, 0)
    step = jax.jit(partial(train_step, apply=partial(apply_merged, model), optimizer=optimizer, config=config))
    losses = []
    for _ in range(60):
        state, metrics = step(state, batch, 0)
        losses.append(float(metrics["loss"]))
    assert {leaf.dtype for leaf in jax.tree.leaves(state.variables)} == {jnp.dtype("float32")}
    return losses


@pytest.mark.slow
def test_training_reaches_the_neighborhood_of_float32():
    exact = losses_of("float32")
    rough = losses_of("bfloat16")
    assert rough[0] != exact[0]
    np.testing.assert_allclose(rough[0], exact[0], rtol=0.02)
    assert exact[-1] < 0.5 * exact[0]
    assert abs(rough[-1] - exact[-1]) < 0.1 * exact[0]
