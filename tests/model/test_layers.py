"""Each layer against a NumPy rewrite, and the padding mask against leaving the padding away."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.numpy_network import convolve, pool
from xecgnet_jax.model.layers import FLOAT32, Arithmetic, Bottleneck, apply_mask, average, batch_norm, conv, max_pool
from xecgnet_jax.model.linear import convolve as convolve_arrays
from xecgnet_jax.model.linear import measure_moments


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def mask(lengths, time):
    return (np.arange(time)[None, :] < np.asarray(lengths)[:, None])[..., None]


@pytest.mark.parametrize("time", [1, 2, 3, 8])
@pytest.mark.parametrize(("width", "bias"), [(1, False), (3, True)])
def test_convolution_pads_with_zeros_on_both_sides(time, width, bias):
    """As a layer, and as a function of arrays."""
    x, kernel, offset = draw(0, 2, time, 5), draw(1, width, 5, 4), draw(2, 4)
    params = {"kernel": kernel, "bias": offset} if bias else {"kernel": kernel}
    expected = [convolve(one.astype(np.float64), kernel, offset if bias else 0.0) for one in x]
    layer = conv(4, width, FLOAT32, "conv", bias=bias).apply({"params": params}, x)
    for ours in (layer, convolve_arrays(x, FLOAT32, **params)):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_kernels_begin_glorot_uniform_and_biases_at_zero():
    params = conv(64, 3, FLOAT32, "conv", bias=True).init(jax.random.key(3), jnp.zeros((1, 4, 32)))["params"]
    limit = np.sqrt(6 / (3 * 32 + 3 * 64))
    kernel = np.asarray(params["kernel"])
    assert np.abs(kernel).max() <= limit
    assert np.abs(kernel).max() > 0.99 * limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.03)
    assert not np.any(params["bias"])


def test_convolution_in_bfloat16_is_that_of_rounded_numbers():
    x, kernel, offset = draw(0, 2, 9, 5), draw(1, 3, 5, 4), draw(2, 4)
    rough = Arithmetic(jnp.bfloat16)
    layer = conv(4, 3, rough, "conv", bias=True).apply({"params": {"kernel": kernel, "bias": offset}}, x)
    rounded = [np.asarray(jnp.asarray(one, jnp.bfloat16), np.float64) for one in (x, kernel, offset)]
    expected = [convolve(one, rounded[1], rounded[2]) for one in rounded[0]]
    for ours in (layer, convolve_arrays(x, rough, kernel, offset)):
        assert ours.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(ours, np.float64), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("precision", [None, *jax.lax.Precision])
def test_the_precision_of_products_is_the_one_that_is_asked_for(precision):
    """CPUs compute all alike: what is asked of the compiler is looked at instead."""
    how = Arithmetic(None, precision)
    text = str(jax.make_jaxpr(lambda x, k: convolve_arrays(x, how, k))(draw(0, 1, 4, 2), draw(1, 3, 2, 2)))
    asked = "precision=None" if precision is None else f"precision=(Precision.{precision.name}"
    assert asked in text


def apply_norm(variables, x, *, train, mask):
    """The layer applied to a signal: its output and updated statistics."""
    y, updated = batch_norm(train, None, "norm").apply(variables, x, mask=mask, mutable=["batch_stats"])
    return apply_mask(y, mask), updated


def norm_variables(features):
    rng = np.random.default_rng(5)
    return {
        "params": {"scale": rng.uniform(0.5, 1.5, features), "bias": rng.standard_normal(features)},
        "batch_stats": {"mean": rng.standard_normal(features), "var": rng.uniform(0.5, 1.5, features)},
    }


def test_norm_in_training_uses_the_batch_and_moves_the_running_statistics():
    x, variables = 3 + 2 * draw(4, 3, 7, 5), norm_variables(5)
    ours, updated = apply_norm(variables, x, train=True, mask=None)
    flat = x.reshape(-1, 5).astype(np.float64)
    mean, variance = flat.mean(axis=0), np.mean((flat - flat.mean(axis=0)) ** 2, axis=0)
    params, running = variables["params"], variables["batch_stats"]
    expected = (x - mean) / np.sqrt(variance + 1.001e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    statistics = updated["batch_stats"]
    np.testing.assert_allclose(statistics["mean"], 0.99 * running["mean"] + 0.01 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics["var"], 0.99 * running["var"] + 0.01 * variance, rtol=1e-5)


def test_norm_in_inference_uses_the_running_statistics_and_leaves_them():
    x, variables = draw(6, 3, 7, 5), norm_variables(5)
    ours, updated = apply_norm(variables, x, train=False, mask=None)
    params, running = variables["params"], variables["batch_stats"]
    expected = (x - running["mean"]) / np.sqrt(running["var"] + 1.001e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, updated["batch_stats"], running)


def test_norm_keeps_the_digits_of_a_small_spread_about_a_large_mean():
    """E[x²] − (E x)² in float32 would say 0 or worse here: 1e6 carries an error of 0.06."""
    x = 1000 + 0.01 * draw(7, 2, 50, 3)
    variables = {
        "params": {"scale": np.ones(3, np.float32), "bias": np.zeros(3, np.float32)},
        "batch_stats": {"mean": np.zeros(3, np.float32), "var": np.zeros(3, np.float32)},
    }
    _, updated = apply_norm(variables, x, train=True, mask=None)
    variance = x.reshape(-1, 3).astype(np.float64).var(axis=0)
    np.testing.assert_allclose(updated["batch_stats"]["var"], 0.01 * variance, rtol=1e-3)
    np.testing.assert_allclose(measure_moments(x).variance, variance, rtol=1e-3)


@jax.jit
def masked_norm(variables, x, valid):
    return apply_norm(variables, x, train=True, mask=valid)


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=3, max_size=3), garbage=st.sampled_from([0.0, 1e3, -7.0]))
def test_masked_norm_is_the_norm_of_the_valid_parts(lengths, garbage):
    """Statistics, output and updates, whatever stands in the padding."""
    x, valid, variables = draw(8, 3, 6, 4), mask(lengths, 6), norm_variables(4)
    ours, updated = masked_norm(variables, np.where(valid, x, np.float32(garbage)), valid)
    parts = np.concatenate([one[:length] for one, length in zip(x, lengths, strict=True)]).astype(np.float64)
    mean, variance = parts.mean(axis=0), parts.var(axis=0)
    params, running = variables["params"], variables["batch_stats"]
    expected = (parts - mean) / np.sqrt(variance + 1.001e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(np.asarray(ours)[valid[..., 0]], expected, rtol=1e-4, atol=1e-4)
    assert not np.any(np.asarray(ours)[~valid[..., 0]])
    statistics = updated["batch_stats"]
    np.testing.assert_allclose(statistics["mean"], 0.99 * running["mean"] + 0.01 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics["var"], 0.99 * running["var"] + 0.01 * variance, rtol=1e-5, atol=1e-6)


def reduce_window_max(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 1), (1, 3, 1), "SAME")


TIMES = range(1, 31)


@pytest.fixture(scope="module")
def pools():
    """Length → ((value, gradient) of ours, (value, gradient) of reduce_window), compiled together to be quick."""

    @jax.jit
    def run(cases):
        both = (partial(max_pool, stride=3), reduce_window_max)
        return {
            time: [(value, pull(cotangent)[0]) for value, pull in (jax.vjp(f, x) for f in both)]
            for time, (x, cotangent) in cases.items()
        }

    return run({time: (draw(time, 2, time, 3), draw(99, 2, -(-time // 3), 3)) for time in TIMES})


@pytest.mark.parametrize("time", TIMES)
def test_pooling_is_reduce_window_and_the_plain_rewrite(pools, time):
    """Values and, where nothing ties, gradients."""
    (ours, our_gradient), (theirs, their_gradient) = pools[time]
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours, [pool(one) for one in draw(time, 2, time, 3)])
    np.testing.assert_array_equal(our_gradient, their_gradient)


def test_the_first_of_equals_gets_the_gradient():
    """As in TensorFlow; the gradients of a window sum to the cotangent."""
    gradient = np.asarray(jax.grad(lambda x: jnp.sum(max_pool(x, 3)))(jnp.zeros((1, 6, 1))))
    np.testing.assert_array_equal(gradient.ravel(), [1, 0, 0, 1, 0, 0])


@pytest.mark.parametrize("place", range(3))
def test_pooling_hides_no_nan(place):
    x = np.zeros((1, 3, 1), np.float32)
    x[0, place] = np.nan
    assert np.isnan(max_pool(jnp.asarray(x), 3)).all()


def test_average_and_mask_leave_the_padding_out():
    x, valid = draw(9, 3, 5, 2), mask([5, 2, 1], 5)
    expected = [x[0].mean(axis=0), x[1, :2].mean(axis=0), x[2, 0]]
    np.testing.assert_allclose(average(jnp.asarray(x), jnp.asarray(valid)), expected, rtol=1e-5)
    np.testing.assert_allclose(average(jnp.asarray(x), None), x.mean(axis=1), rtol=1e-5, atol=1e-7)
    weights = np.array([1, 3, 0, 2, 1], np.float32)
    expected = np.average(np.where(np.arange(5)[:, None] == 2, 0, x), axis=1, weights=weights)
    hole = np.where(np.arange(5)[:, None] == 2, np.nan, x)  # what counts nothing may hold anything
    np.testing.assert_allclose(average(jnp.asarray(hole), weights[None, :, None]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(apply_mask(jnp.asarray(x), jnp.asarray(valid)), x * valid)
    assert apply_mask(x, None) is x


def bottleneck_variables(features_in, features):
    shapes = jax.eval_shape(
        lambda key, x: Bottleneck(features).init(key, x, train=False, mask=None),
        jax.random.key(0),
        jnp.zeros((1, 4, features_in)),
    )
    rng = np.random.default_rng(11)
    return jax.tree.map(lambda leaf: rng.uniform(0.2, 1.2, leaf.shape).astype(np.float32), dict(shapes))


@pytest.mark.parametrize("train", [False, True])
def test_bottleneck_written_out(train):
    """1×1 → F/4, 3 → F/4, 1×1 → F, shortcut 1×1 → F; ReLU after the first two and after the sum."""
    variables = bottleneck_variables(6, 8)
    x = draw(12, 2, 5, 6)
    ours, _ = jax.jit(partial(Bottleneck(8).apply, train=train, mask=None, mutable="batch_stats"))(variables, x)
    params = jax.tree.map(np.float64, variables["params"])
    running = jax.tree.map(np.float64, variables["batch_stats"])

    def step(value, name, norm):
        value = np.stack([convolve(one, params[name]["kernel"]) for one in value])
        mean, variance = running[norm]["mean"], running[norm]["var"]
        if train:
            mean, variance = value.mean(axis=(0, 1)), value.var(axis=(0, 1))
        return (value - mean) / np.sqrt(variance + 1.001e-5) * params[norm]["scale"] + params[norm]["bias"]

    inner = np.maximum(step(x.astype(np.float64), "conv_0", "norm_0"), 0)
    inner = np.maximum(step(inner, "conv_1", "norm_1"), 0)
    expected = np.maximum(step(inner, "conv_2", "norm_2") + step(x.astype(np.float64), "shortcut", "shortcut_norm"), 0)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    assert {name for name, layer in params.items() if "kernel" in layer and "bias" not in layer} == {
        "shortcut",
        "conv_0",
        "conv_1",
        "conv_2",
    }


@pytest.mark.parametrize("train", [False, True])
def test_masked_bottleneck_is_the_bottleneck_without_the_padding(train):
    """Equal lengths, so that leaving the padding away is again an array."""
    variables = bottleneck_variables(6, 8)
    x = draw(13, 2, 4, 6)
    padded = np.pad(x, ((0, 0), (0, 3), (0, 0)))
    apply = jax.jit(partial(Bottleneck(8).apply, train=train, mutable="batch_stats"))
    short, short_update = apply(variables, x, mask=None)
    long, long_update = apply(variables, padded, mask=mask([4, 4], 7))
    np.testing.assert_allclose(long[:, :4], short, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), short_update, long_update)
