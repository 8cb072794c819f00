"""Merged pairs of layers against the layers, and the network in training both ways."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.numpy_network import convolve as numpy_convolve
from tests.model.numpy_network import random_variables
from xecgnet_jax.model import XECGNet, apply_merged
from xecgnet_jax.model.layers import FLOAT32
from xecgnet_jax.model.linear import ConvParams, ScaleShift
from xecgnet_jax.model.merged import LEAST, convolve_normalized, convolve_pair, output_moments
from xecgnet_jax.training.objective import objective

TIMES = (LEAST, 7, 20)


def random_convs(rng, features):
    return [
        ConvParams(
            (rng.standard_normal((3, i, o)) / np.sqrt(3 * i)).astype(np.float32),
            rng.standard_normal(o).astype(np.float32),
        )
        for i, o in itertools.pairwise(features)
    ]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_moments_of_an_output_that_is_never_made(time, mean):
    """Also where the input's mean is large beside its spread: the digits of the variance are kept."""
    rng = np.random.default_rng(time)
    (first,) = random_convs(rng, (5, 7))
    x = (mean + rng.standard_normal((3, time, 5))).astype(np.float32)
    found, left, right = output_moments(x, first)
    made = np.stack([numpy_convolve(one, np.float64(first.kernel), first.bias) for one in x.astype(np.float64)])
    np.testing.assert_allclose(found.mean, made.mean(axis=(0, 1)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.variance, made.var(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(left, made[:, :2], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(right, made[:, -2:], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("time", TIMES)
def test_a_merged_pair_is_its_layers_at_every_position(time):
    rng = np.random.default_rng(time)
    first, second = random_convs(rng, (4, 6, 5))
    between = ScaleShift(rng.uniform(0.5, 1.5, 6).astype(np.float32), rng.standard_normal(6).astype(np.float32))
    x = rng.standard_normal((2, time, 4)).astype(np.float32)
    _, left, right = output_moments(x, first)
    found = convolve_pair(x, first, between, second, (left, right), FLOAT32)
    inner = [numpy_convolve(one, first.kernel, first.bias) * between.scale + between.shift for one in np.float64(x)]
    expected = [numpy_convolve(one, second.kernel, second.bias) for one in inner]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("time", [1, 2, 3, 20])
@pytest.mark.parametrize("normalized", [False, True])
def test_a_convolution_behind_a_normalization_that_is_not_made(time, normalized):
    """Also for one position, where both ends are missing."""
    rng = np.random.default_rng(time)
    (conv,) = random_convs(rng, (5, 4))
    between = ScaleShift(rng.uniform(-1.5, 1.5, 5).astype(np.float32), rng.standard_normal(5).astype(np.float32))
    x = rng.standard_normal((2, time, 5)).astype(np.float32)
    y, constant = convolve_normalized(x, between if normalized else None, conv, FLOAT32)
    before = np.float64(x) * between.scale + between.shift if normalized else np.float64(x)
    expected = [numpy_convolve(one, conv.kernel, conv.bias) for one in before]
    np.testing.assert_allclose(np.asarray(y) + np.asarray(constant), expected, rtol=0, atol=1e-5)


def train_once(apply, variables, signal, labels):
    """Returns outputs, updated statistics and gradients of a training step."""

    @jax.jit
    def step(params):
        def loss(params):
            outputs, updated = apply({**variables, "params": params}, signal, train=True, mutable=["batch_stats"])
            return objective(outputs, labels)[0], (outputs, updated)

        (value, (outputs, updated)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return {"loss": value, "outputs": outputs, "statistics": updated, "gradient": gradient}

    return jax.device_get(step(variables["params"]))


@pytest.mark.slow  # test_golden has the gradients of merged layers
@pytest.mark.parametrize("time", [731, 1000])
def test_training_with_merged_layers_is_training_with_all(time):
    rng = np.random.default_rng(time)
    signal = jnp.asarray(0.5 + rng.standard_normal((4, time, 12)), jnp.float32)
    labels = jnp.asarray(rng.random((4, 9)) < 0.3, jnp.float32)
    model = XECGNet(width=0.125)
    variables = random_variables(model, 1)
    fast = train_once(partial(apply_merged, model), variables, signal, labels)
    slow = train_once(model.apply, variables, signal, labels)
    for name in ("loss", "outputs", "statistics"):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), fast[name], slow[name])
    # A bias before a normalization has no gradient: what is left of it is rounding, on the scale of the others.
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(slow["gradient"]))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * scale), fast["gradient"], slow["gradient"]
    )


@pytest.mark.parametrize("asked", [{"train": False}, {"bins": jnp.ones(2, jnp.int32)}])
def test_what_cannot_be_merged_is_refused(asked):
    model = XECGNet(width=0.0625)
    variables = random_variables(model, 1)
    with pytest.raises(ValueError, match="only training of linear layers"):
        apply_merged(model, variables, jnp.zeros((2, 243, 12)), **asked)
    with pytest.raises(ValueError, match="only training of linear layers"):
        apply_merged(model.clone(activation="relu"), variables, jnp.zeros((2, 243, 12)))
