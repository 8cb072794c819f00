"""The whole network against its NumPy rewrite, alone and in padded batches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.numpy_network import NumpyNetwork, random_variables, sigmoid
from xecgnet_jax.config import ModelConfig
from xecgnet_jax.model import Outputs, XECGNet, apply_merged, probabilities
from xecgnet_jax.training.objective import objective

WIDTH = 0.125
BIN = 243
SWITCHES = {
    "authors": {},
    "conv head": {"attention_head": "conv"},
    "relu": {"activation": "relu"},
    "plain": {"attention": False},
    "pools": {"pools": (3, 4, 2, 1, 1)},
}


def signals(seed, batch, time):
    return np.random.default_rng(seed).standard_normal((batch, time, 12)).astype(np.float32)


def rewrite(variables, train=False, attention_head="gap", activation="none", attention=True, pools=(3,) * 5):
    """The NumPy network of the same switches; it is plain where the variables have no attention branch."""
    return NumpyNetwork(variables, train=train, head=attention_head, activation=activation, pools=pools)


def assert_same(ours, theirs, bins=None, **tolerance):
    """Outputs of padded arrays against lists of maps; padding must be zero."""
    np.testing.assert_allclose(ours.perception_logits, theirs[1], **tolerance)
    if theirs[0] is None:
        assert ours.attention_logits is None and ours.attention is None and ours.responses is None
        return
    np.testing.assert_allclose(ours.attention_logits, theirs[0], **tolerance)
    for row, (attention, responses) in enumerate(zip(theirs[2], theirs[3], strict=True)):
        real = len(attention)
        assert ours.attention.shape[1] == real or bins is not None
        np.testing.assert_allclose(ours.attention[row, :real], attention, **tolerance)
        np.testing.assert_allclose(ours.responses[row, :real], responses, **tolerance)
        assert not np.any(ours.attention[row, real:])
        assert not np.any(ours.responses[row, real:])


def in_double(model, variables, signal, apply=None, **arguments):
    """(outputs, updates) in float64, where only a wrong formula can make a difference."""
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        apply = jax.jit(partial(apply or model.apply, mutable=["batch_stats"], **arguments))
        outputs, updates = apply(double, jnp.asarray(signal, jnp.float64))
        return jax.tree.map(np.asarray, outputs), jax.tree.map(np.asarray, updates)


CLOSE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.mark.parametrize(
    ("time", "pools"),
    [
        (401, (3,) * 5),
        (200, (3, 4, 2, 1, 1)),
        *(pytest.param(time, (3,) * 5, marks=pytest.mark.slow) for time in (243, 600)),
    ],
)
def test_inference_is_the_rewrite_at_any_length(time, pools):
    model = XECGNet(width=WIDTH, pools=pools)
    variables, signal = random_variables(model, 0), signals(time, 2, time)
    ours, updates = in_double(model, variables, signal)
    network = rewrite(variables, pools=pools)
    assert_same(ours, network(list(signal)), **CLOSE)
    assert ours.attention.shape == (2, -(-time // model.samples_per_bin))
    jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], network.statistics)


def assert_training_is_the_rewrite(switches, signal, bins, merged=False):
    model = XECGNet(width=WIDTH, **switches)
    variables = random_variables(model, 1)
    apply = partial(apply_merged, model) if merged else None
    bins_array = None if bins is None else np.int32(bins)
    ours, updates = in_double(model, variables, signal, apply, train=True, bins=bins_array)
    network = rewrite(variables, train=True, **switches)
    per_bin = model.samples_per_bin
    real = [len(signal[0])] * len(signal) if bins is None else [per_bin * number for number in bins]
    theirs = network([one[:samples] for one, samples in zip(signal, real, strict=True)])
    assert_same(ours, theirs, bins, **CLOSE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), updates["batch_stats"], network.statistics
    )


CASES = {
    "authors": {},
    "merged": {},
    "relu": SWITCHES["relu"],
    "plain": SWITCHES["plain"],
    "plain merged": SWITCHES["plain"],
    "pools": SWITCHES["pools"],
    "pools merged": SWITCHES["pools"],
}


@pytest.mark.parametrize("case", CASES)
def test_training_is_the_rewrite(case):
    """Outputs and running statistics, at a length that pooling never divides; layer by layer, and as training runs."""
    assert_training_is_the_rewrite(CASES[case], signals(2, 3, 491), None, "merged" in case)


def test_samples_per_bin_have_one_value():
    assert ModelConfig().samples_per_bin == XECGNet().samples_per_bin == BIN


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=list(SWITCHES))
def test_training_on_a_masked_batch_is_the_rewrite_without_padding(switches):
    """The statistics are those of the valid parts put together, whatever stands in the padding."""
    per_bin = XECGNet(**switches).samples_per_bin
    assert_training_is_the_rewrite(switches, signals(4, 3, 2 * per_bin), [1, 2, 1])


def test_inference_on_a_masked_batch_is_the_rewrite_without_padding():
    switches = SWITCHES["conv head"]
    model = XECGNet(width=WIDTH, **switches)
    variables, signal = random_variables(model, 3), signals(4, 2, 2 * BIN)
    ours, _ = in_double(model, variables, signal, bins=np.int32([1, 2]))
    assert_same(ours, rewrite(variables, **switches)([signal[0, :BIN], signal[1]]), [1, 2], **CLOSE)


def test_single_precision_stays_near_double():
    """What users get: float32, compiled, a recording in a padded batch against the same one alone."""
    model = XECGNet(width=WIDTH)
    variables, signal, bins = random_variables(model, 5), signals(6, 2, 2 * BIN), np.int32([2, 1])
    apply = jax.jit(model.apply)
    padded = apply(variables, signal, bins=bins)
    network = rewrite(variables)
    for row, real in enumerate(bins.tolist()):
        alone = apply(variables, signal[row : row + 1, : BIN * real])
        np.testing.assert_allclose(padded.attention_logits[row], alone.attention_logits[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(padded.perception_logits[row], alone.perception_logits[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(padded.attention[row, :real], alone.attention[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(padded.responses[row, :real], alone.responses[0], rtol=0, atol=1e-5)
        assert_same(alone, network([signal[row, : BIN * real]]), rtol=1e-4, atol=1e-4)


@pytest.mark.ci
def test_padding_has_no_part_in_the_gradients():
    model = XECGNet(width=WIDTH)
    variables, signal, bins = random_variables(model, 7), signals(8, 2, 2 * BIN), np.int32([1, 2])
    labels = np.eye(9, dtype=np.float32)[[0, 4]]

    def loss(params, signal):
        outputs, _ = model.apply(
            {**variables, "params": params}, signal, train=True, bins=bins, mutable=["batch_stats"]
        )
        return objective(outputs, labels, gamma=0.5)[0]

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    ours = gradient(variables["params"], signal)
    other_padding = signal.copy()
    other_padding[0, BIN:] = 1e3
    jax.tree.map(np.testing.assert_array_equal, ours, gradient(variables["params"], other_padding))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(ours))
    assert not np.any(ours[1][0, BIN:])
    assert np.any(ours[1][0, :BIN])


@pytest.mark.ci
def test_two_seeds_side_by_side_are_the_two_alone():
    model = XECGNet(width=WIDTH)
    signal = signals(9, 2, BIN)
    seeds = [random_variables(model, seed) for seed in (10, 11)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
    together = jax.jit(jax.vmap(model.apply, in_axes=(0, None)))(stacked, signal)
    for index, variables in enumerate(seeds):
        alone = jax.jit(model.apply)(variables, signal)
        jax.tree.map(lambda a, b, i=index: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5), together, alone)


def test_padding_needs_whole_bins():
    model = XECGNet(width=WIDTH)
    with pytest.raises(ValueError, match="243"):
        model.apply(random_variables(model, 0), signals(0, 1, 244), bins=np.array([1]))


def test_probabilities_are_the_mean_of_the_heads():
    one, two = np.random.default_rng(12).standard_normal((2, 4, 9))
    outputs = Outputs(jnp.asarray(one), jnp.asarray(two), None, None)
    np.testing.assert_allclose(probabilities(outputs), (sigmoid(one) + sigmoid(two)) / 2, rtol=1e-6)
    plain = Outputs(None, jnp.asarray(two), None, None)
    np.testing.assert_allclose(probabilities(plain), sigmoid(two), rtol=1e-6)


def size(model, collection="params"):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 243, 12), np.float32))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes[collection]))


def hand_count(classes=9, attention=True, head="gap"):
    """(trainable, running statistics) of the network at width 1, counted from the paper's table of layers."""
    trainable = statistics = 0

    def conv_norm(width, before, after, bias):
        nonlocal trainable, statistics
        trainable += width * before * after + (after if bias else 0) + 2 * after
        statistics += 2 * after

    features = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 256, 128]
    for before, after in zip([12, *features], features, strict=False):
        conv_norm(3, before, after, bias=True)
    for _ in range(2 if attention else 1):
        for width, before, after in ((1, 128, 256), (1, 128, 64), (3, 64, 64), (1, 64, 256)):
            conv_norm(width, before, after, bias=False)
    if attention:
        trainable += 2 * 256 + 256 * classes + classes + 2
        statistics += 2 * 256 + 2
        trainable += classes * classes if head == "conv" else 0
    return trainable + 256 * 512 + 512 + 512 * classes + classes, statistics


def test_the_hand_count_of_the_authors_network():
    assert hand_count() == (4_115_476, 4_125_718 - 4_115_476)


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({}, {}),
        ({"classes": 5}, {"classes": 5}),
        ({"attention_head": "conv"}, {"head": "conv"}),
        ({"attention": False}, {"attention": False}),
        ({"activation": "relu"}, {}),
    ],
)
def test_parameter_counts(settings, counted):
    model = XECGNet(**settings)
    assert (size(model), size(model, "batch_stats")) == hand_count(**counted)


@pytest.mark.parametrize("width", [0.01, 0.0625, 0.25, 0.3, 2.0])
def test_width_scales_every_layer_but_the_maps(width):
    shapes = jax.eval_shape(XECGNet(width=width).init, jax.random.key(0), jax.ShapeDtypeStruct((1, 243, 12), "f4"))
    params = shapes["params"]
    authors = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 256, 128]
    for index, features in enumerate(authors):
        found = params["backbone"][f"conv_{index}"]["kernel"].shape[2]
        assert found % 4 == 0
        assert found == 4 or abs(found - width * features) <= 2
    assert params["attention_branch"]["responses"]["kernel"].shape[2] == 9
    assert params["attention_branch"]["attention"]["kernel"].shape[1:] == (9, 1)
    assert params["perception_branch"]["dense_1"]["kernel"].shape[1] == 9
