"""The optimizers and learning rates, against their formulas in NumPy."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xecgnet_jax.config import Config, OptimizerConfig
from xecgnet_jax.model import XECGNet
from xecgnet_jax.training.state import build_model, build_optimizer, init_state, init_variables, learning_rate

pytestmark = pytest.mark.ci


def steps(config: OptimizerConfig, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """A parameter [2, 2] after each of the gradients [n, 2, 2]."""
    optimizer = build_optimizer(config, epochs=1, steps_per_epoch=len(gradients))
    parameters = {"kernel": jnp.asarray(start, jnp.float32)}
    state = optimizer.init(parameters)
    found = []
    for gradient in gradients:
        updates, state = optimizer.update({"kernel": jnp.asarray(gradient, jnp.float32)}, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        found.append(np.asarray(parameters["kernel"]))
    return np.stack(found)


def test_adam_is_keras_adam():
    """variable −= lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε), with gradients so small that ε's place matters."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal((2, 2)), 1e-7 * rng.standard_normal((60, 2, 2))
    config = OptimizerConfig(learning_rate=1e-2)
    variable, first, second = start.copy(), np.zeros((2, 2)), np.zeros((2, 2))
    expected = []
    for t, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = config.learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        variable = variable - rate * first / (np.sqrt(second) + config.epsilon)
        expected.append(variable)
    np.testing.assert_allclose(steps(config, start, gradients), expected, rtol=1e-5)


def test_adamw_decays_kernels_and_no_biases():
    config = OptimizerConfig(optimizer="adamw", learning_rate=0.1, weight_decay=0.5)
    optimizer = build_optimizer(config, epochs=1, steps_per_epoch=1)
    parameters = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    nothing = jax.tree.map(jnp.zeros_like, parameters)
    updates, _ = optimizer.update(nothing, optimizer.init(parameters), parameters)
    np.testing.assert_allclose(updates["kernel"], np.full((2, 2), -0.05), rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], np.zeros(2))


def test_the_limit_on_the_gradient_norm():
    config = OptimizerConfig(learning_rate=1e-2, epsilon=1.0, clip_norm=1.0)
    gradient = np.array([[[3.0, 0.0], [0.0, 4.0]]])
    limited = steps(config, np.zeros((2, 2)), gradient)
    free = steps(dataclasses.replace(config, clip_norm=0.0), np.zeros((2, 2)), gradient / 5)
    np.testing.assert_allclose(limited, free, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rate(schedule):
    config = OptimizerConfig(learning_rate=0.2, schedule=schedule, warmup_epochs=2.0)
    rate = learning_rate(config, epochs=10, steps_per_epoch=5)
    for step in range(50):
        expected = 0.2 * step / 10 if step < 10 else 0.2
        if schedule == "cosine" and step >= 10:
            expected = 0.2 * (1 + np.cos(np.pi * (step - 10) / 40)) / 2
        assert float(rate(step)) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_the_paper_presets_use_it():
    from xecgnet_jax.config import preset

    for name in ("paper-pad", "paper-crop"):
        assert preset(name).optimizer == OptimizerConfig("adam", 1e-5, "constant", 0.0, 0.0, 1e-7, 0.0, 0.0)
        assert (preset(name).epochs, preset(name).patience, preset(name).batch_size) == (1000, 50, 32)
        assert preset(name).objective == Config().objective and preset(name).model == Config().model


def leaves_of(variables):
    return jax.tree.leaves_with_path(variables)


@pytest.mark.usefixtures("compiled_as_users_do")
def test_training_begins_with_the_weights_that_the_model_draws():
    """Bit for bit, from the same seed, whatever the signal's length."""
    config = Config()
    model, optimizer = build_model(config.model, 9), build_optimizer(config.optimizer, 1, 1)
    start, draw = jax.jit(partial(init_state, model, optimizer, config.optimizer)), jax.jit(XECGNet().init)
    for seed in (0, 2018):
        started = start(np.uint32(seed)).variables
        drawn = draw(jax.random.key(seed), jnp.zeros((2, 700, 12)))
        assert jax.tree.structure(started) == jax.tree.structure(dict(drawn))
        for (path, mine), (_, theirs) in zip(leaves_of(started), leaves_of(dict(drawn)), strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=str(path))


def test_kernels_begin_glorot_uniform_and_the_rest_at_rest():
    """Limits by Glorot & Bengio 2010; all kernels and seeds different."""
    model = XECGNet()
    quickly_compiled = {"xla_backend_optimization_level": 0}
    draw = jax.jit(partial(init_variables, model), compiler_options=quickly_compiled)
    variables, other = (jax.device_get(draw(seed)) for seed in (0, 1))
    seen = []
    for (path, leaf), (_, again) in zip(leaves_of(variables), leaves_of(other), strict=True):
        if path[-1].key != "kernel":
            assert np.all(leaf == (1 if path[-1].key in ("scale", "var") else 0))
            continue
        limit = np.sqrt(6 / (np.prod(leaf.shape[:-2]) * sum(leaf.shape[-2:])))
        assert np.abs(leaf).max() <= limit
        assert np.any(leaf != again)
        if leaf.size > 1000:
            assert np.abs(leaf).max() > 0.99 * limit
            assert np.std(leaf) == pytest.approx(limit / np.sqrt(3), rel=0.03)
            assert abs(np.mean(leaf)) < 0.06 * limit
        seen.append(float(leaf.ravel()[0]) / limit)
    assert len(set(seen)) == len(seen)
