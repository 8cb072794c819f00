"""The collapsed network against the plain one, and chains of convolutions against their layers in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.numpy_network import convolve as numpy_convolve
from tests.model.numpy_network import random_variables
from xecgnet_jax.config import ModelConfig
from xecgnet_jax.model import RepeatedBin, XECGNet, bin_edges, collapse, trim_padding
from xecgnet_jax.model.collapsed import convolve_chain, make_chain
from xecgnet_jax.model.linear import ConvParams, compose

POOLS = ModelConfig().pools
SAMPLES_PER_BIN = ModelConfig().samples_per_bin

TIMES = range(1, 13)
SMALL = XECGNet(width=0.125)


def random_conv(rng, inputs, outputs, width=3):
    kernel = rng.standard_normal((width, inputs, outputs)) / np.sqrt(3 * inputs)
    return ConvParams(kernel.astype(np.float32), rng.standard_normal(outputs).astype(np.float32))


def chain_of(rng, count):
    layers = tuple(random_conv(rng, 4 + i, 5 + i) for i in range(count))
    return make_chain(layers)


def slowly(x, layers):
    """[T, F] through all layers, float64."""
    x = np.asarray(x, np.float64)
    for layer in layers:
        x = numpy_convolve(x, np.asarray(layer.kernel, np.float64), np.asarray(layer.bias, np.float64))
    return x


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_chain_is_its_layers_at_every_position(count):
    """From one position on: shorter than the borders, odd and even."""
    rng = np.random.default_rng(count)
    made = chain_of(rng, count)
    signals = [rng.standard_normal((2, time, 4)).astype(np.float32) for time in TIMES]
    found = jax.jit(lambda xs: [convolve_chain(x, made, None) for x in xs])(signals)
    for x, y in zip(signals, found, strict=True):
        expected = [slowly(one, made.layers) for one in x]
        np.testing.assert_allclose(y, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_a_chain_with_unequal_recordings_is_each_alone(count):
    rng = np.random.default_rng(10 + count)
    made = chain_of(rng, count)
    for time in (4, 12):
        real = np.arange(count, time + 1)
        x = rng.standard_normal((len(real), time, 4)).astype(np.float32)
        x *= np.arange(time)[None, :, None] < real[:, None, None]
        found = jax.jit(convolve_chain)(x, made, jnp.asarray(real))
        for one, n, y in zip(x, real, found, strict=True):
            np.testing.assert_allclose(y[:n], slowly(one[:n], made.layers), rtol=0, atol=5e-6)


def test_composing_is_convolving_twice_where_no_end_is_near():
    rng = np.random.default_rng(3)
    first, second = random_conv(rng, 3, 6), random_conv(rng, 6, 4, width=5)
    x = rng.standard_normal((20, 3))
    both = compose(first, second)
    assert both.kernel.shape == (7, 3, 4)
    found = numpy_convolve(x, np.asarray(both.kernel), np.asarray(both.bias))[3:-3]
    np.testing.assert_allclose(found, slowly(x, [first, second])[3:-3], rtol=0, atol=1e-5)


def assert_same_outputs(one, other, tolerance=1e-5):
    """To 1e-5 of 1 or of the largest value: both round, and random responses reach 10."""
    for a, b in zip(one, other, strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max())))


def both_ways(model, signal, bins=None, seed=0):
    variables = random_variables(model, seed)
    collapsed = collapse(model, variables)
    plain = jax.jit(lambda v, x, n: model.apply(v, x, bins=n))(variables, signal, bins)
    fast = jax.jit(lambda v, x, n: collapsed.apply(v, x, bins=n))(collapsed.variables, signal, bins)
    return fast, plain


@pytest.mark.parametrize("time", [1, 100, *(pytest.param(time, marks=pytest.mark.slow) for time in (7, 728, 2880))])
def test_the_collapsed_network_gives_the_same(time):
    signal = np.random.default_rng(time).standard_normal((2, time, 12)).astype(np.float32)
    assert_same_outputs(*both_ways(SMALL, signal, seed=time))


@pytest.mark.slow
def test_at_the_authors_width():
    signal = np.random.default_rng(1).standard_normal((2, 1001, 12)).astype(np.float32)
    assert_same_outputs(*both_ways(XECGNet(), signal))


@pytest.mark.ci
@pytest.mark.parametrize(
    "model",
    [
        XECGNet(width=0.125, activation="relu"),
        XECGNet(width=0.125, attention=False),
        XECGNet(width=0.125, attention_head="conv"),
        XECGNet(width=0.125, pools=(3, 2, 1, 4, 1)),
    ],
)
def test_with_other_switches(model):
    signal = np.random.default_rng(2).standard_normal((3, 1000, 12)).astype(np.float32)
    assert_same_outputs(*both_ways(model, signal))


@pytest.mark.ci
@pytest.mark.parametrize(("activation", "pools"), [("none", POOLS), ("relu", POOLS), ("none", (3, 4, 1, 1, 1))])
def test_with_recordings_of_unequal_lengths(activation, pools):
    """One bin is shorter than the borders of the last group. Maps beyond a recording are zero in both."""
    bins = np.array([1, 2, 5, 8], np.int32)
    model = XECGNet(width=0.125, activation=activation, pools=pools)
    signal = np.random.default_rng(4).standard_normal((4, 8 * model.samples_per_bin, 12)).astype(np.float32)
    assert_same_outputs(*both_ways(model, signal, bins))


@pytest.mark.ci
def test_a_step_closer_to_float64_than_the_plain_network():
    """Fewer roundings: what is multiplied beforehand is multiplied in float64."""
    model = XECGNet(width=0.5)
    signal = np.random.default_rng(8).standard_normal((2, 1001, 12)).astype(np.float32)
    variables = random_variables(model, 8)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        exact = np.asarray(jax.jit(model.apply)(double, jnp.asarray(signal, jnp.float64)).responses)
    collapsed = collapse(model, variables)
    found = np.asarray(jax.jit(collapsed.apply)(collapsed.variables, signal).responses)
    np.testing.assert_allclose(found, exact, rtol=5e-6, atol=5e-6)


def test_it_cannot_be_trained():
    collapsed = collapse(SMALL, random_variables(SMALL, 0))
    with pytest.raises(ValueError, match="train the plain one"):
        collapsed.apply(collapsed.variables, np.zeros((1, SAMPLES_PER_BIN, 12), np.float32), train=True)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("length", "longest", "pools"),
    [
        (8001, 2100, POOLS),
        (1501, 200, (3, 2, 2, 1, 1)),
        *(pytest.param(length, 2100, POOLS, marks=pytest.mark.slow) for length in (8000, 8019)),
    ],
)
def test_a_repeated_bin_stands_for_a_constant_stretch(length, longest, pools):
    """Zeros before recordings, of which most are left out, in the plain and in the collapsed network."""
    model = XECGNet(width=0.125, pools=pools)
    variables, rng = random_variables(model, length), np.random.default_rng(length)
    signal = np.zeros((3, length, 12), np.float32)
    for row, samples in enumerate((longest, longest // 2, 1)):
        signal[row, -samples:] = rng.standard_normal((samples, 12))
    samples, repeat = trim_padding(longest, length, pools)
    assert repeat is not None
    assert samples < 0.7 * length
    expected = jax.jit(model.apply)(variables, signal)
    collapsed = collapse(model, variables)
    for apply, chosen in ((model.apply, variables), (collapsed.apply, collapsed.variables)):
        assert_same_outputs(jax.jit(partial(apply, repeat=repeat))(chosen, signal[:, -samples:]), expected)


@settings(max_examples=200, deadline=None)
@given(longest=st.integers(1, 80_000), length=st.integers(1, 80_000))
def test_what_is_left_out_is_zeros(longest, length):
    samples, repeat = trim_padding(longest, length, POOLS)
    if repeat is None:
        assert samples == length
    else:
        assert samples + repeat.more * SAMPLES_PER_BIN == length
        # Far from the recording: the repeated bin and the two after it do not see it.
        assert bin_edges(samples, POOLS)[repeat.bin + 3] + 359 <= samples - longest
        assert bin_edges(samples, POOLS)[2] >= 359


def test_few_shapes_come_of_many_lengths():
    assert len({trim_padding(longest, 72_000, POOLS) for longest in range(3000, 72_000, 100)}) < 20


def test_a_repeated_bin_is_for_inference():
    variables = random_variables(SMALL, 0)
    with pytest.raises(ValueError, match="leave out train and bins"):
        jax.eval_shape(
            partial(SMALL.apply, repeat=RepeatedBin(0, 1)),
            variables,
            np.zeros((1, SAMPLES_PER_BIN, 12), np.float32),
            bins=np.ones(1, np.int32),
        )
