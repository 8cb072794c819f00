"""The objective against NumPy in float64, switch by switch, and where floating point could break it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xecgnet_jax.config import ObjectiveConfig
from xecgnet_jax.model import Outputs
from xecgnet_jax.training.objective import (
    alignment,
    asymmetric_loss,
    binary_cross_entropy,
    distance,
    objective,
    reference_map,
)
from xecgnet_jax.training.step import class_weights

B, S, C = 5, 4, 9


def example(seed=0):
    """(outputs, labels): the second recording has two classes, the last none."""
    rng = np.random.default_rng(seed)
    outputs = Outputs(
        np.float32(2 * rng.standard_normal((B, C))),
        np.float32(2 * rng.standard_normal((B, C))),
        np.float32(rng.uniform(0.05, 0.95, (B, S))),
        np.float32(np.maximum(rng.standard_normal((B, S, C)), 0)),
    )
    labels = np.eye(C, dtype=np.float32)[rng.integers(0, C, B)]
    labels[1, :2] = 1
    labels[-1] = 0
    return outputs, labels


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def class_loss(p, y, *, asl_gamma_negative=0.0, asl_gamma_positive=0.0, asl_clip=0.0):
    """One class of one recording, from its probability; with zeros: binary cross-entropy."""
    if y:
        return -((1 - p) ** asl_gamma_positive) * np.log(p)
    shifted = max(p - asl_clip, 0)
    if asl_clip and not shifted:
        return 0.0
    return -(shifted**asl_gamma_negative) * np.log(1 - shifted)


def numpy_objective(outputs, labels, *, gamma, reference, norm, term, pos_weight=None, weights=None, **focus):
    """The same from loops over recordings, heads, classes and bins."""
    weights = np.ones(len(labels)) if weights is None else np.float64(weights)
    sums = {"attention_loss": 0.0, "perception_loss": 0.0, "alignment": 0.0}
    for row, weight in enumerate(weights):
        heads = {"attention_loss": outputs.attention_logits, "perception_loss": outputs.perception_logits}
        for name, logits in heads.items():
            losses = []
            for c in range(labels.shape[1]):
                one = class_loss(sigmoid(logits[row, c]), labels[row, c], **focus)
                losses.append(one * (pos_weight[c] if pos_weight is not None and labels[row, c] else 1))
            sums[name] += weight * np.mean(losses)
        true = np.flatnonzero(labels[row])
        divisor = labels.shape[1] if reference == "all_classes" else max(len(true), 1)
        target = np.float64(outputs.responses[row])[:, true].sum(axis=1) / divisor
        difference = target - np.float64(outputs.attention[row])
        size = {
            "l2": np.sqrt((difference**2).sum()),
            "l2_squared": (difference**2).sum(),
            "l1": np.abs(difference).sum(),
        }[norm]
        sums["alignment"] += weight * size
    means = {name: total / weights.sum() for name, total in sums.items()}
    times = 2 if term == "both_heads" else 1
    return means["attention_loss"] + means["perception_loss"] + times * gamma * means["alignment"], means


@pytest.mark.parametrize("gamma", [0.0, 0.01, 10.0])
@pytest.mark.parametrize(
    ("reference", "norm", "term"),
    list(itertools.product(("all_classes", "true_classes"), ("l2", "l2_squared", "l1"), ("both_heads", "once"))),
)
def test_every_switch_of_the_alignment(gamma, reference, norm, term):
    outputs, labels = example()
    switches = {"gamma": gamma, "reference": reference, "norm": norm, "term": term}
    total, terms = objective(outputs, labels, **switches)
    expected, means = numpy_objective(outputs, labels, **switches)
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(means, rel=1e-5)


AUTHORS = {"gamma": 0.01, "reference": "all_classes", "norm": "l2", "term": "both_heads"}


def test_the_defaults_are_the_authors():
    outputs, labels = example()
    assert float(objective(outputs, labels)[0]) == pytest.approx(
        numpy_objective(outputs, labels, **AUTHORS)[0], rel=1e-5
    )


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0, 0.5, 1.0]])
@pytest.mark.parametrize("pos_weight", [None, np.linspace(0.2, 7, C)])
@pytest.mark.parametrize(
    "focus",
    [
        {},
        {"asl_gamma_negative": 4.0},
        {"asl_gamma_positive": 1.0},
        {"asl_clip": 0.05},
        {"asl_gamma_negative": 0.5, "asl_gamma_positive": 0.25, "asl_clip": 0.2},
    ],
)
def test_every_switch_of_the_classification(focus, pos_weight, weights):
    outputs, labels = example(1)
    arrays_ = {
        "pos_weight": None if pos_weight is None else jnp.asarray(pos_weight, jnp.float32),
        "weights": None if weights is None else jnp.asarray(weights),
    }
    total, terms = objective(outputs, labels, loss="asymmetric" if focus else "bce", **arrays_, **focus)
    expected, means = numpy_objective(outputs, labels, **AUTHORS, pos_weight=pos_weight, weights=weights, **focus)
    # A asl_clip multiplies p by 1 − 1e-6 before the logarithm.
    assert float(total) == pytest.approx(expected, rel=2e-5)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(means, rel=2e-5)


def test_classes_that_are_not_annotated_count_nothing():
    """The loss of a network without them; and their logits have no gradient."""
    outputs, labels = example(1)
    columns = np.array([0, 2, 5])
    labels = jnp.asarray(labels).at[:, np.setdiff1d(np.arange(C), columns)].set(0.0)
    pos_weight = jnp.linspace(0.2, 7, C)
    total, terms = objective(outputs, labels, columns=columns, pos_weight=pos_weight, gamma=0.0)
    fewer = outputs._replace(
        attention_logits=outputs.attention_logits[:, columns],
        perception_logits=outputs.perception_logits[:, columns],
        responses=outputs.responses[..., columns],
    )
    expected, _ = objective(fewer, labels[:, columns], pos_weight=pos_weight[columns], gamma=0.0)
    assert float(total) == pytest.approx(float(expected), rel=1e-6)
    assert float(terms["alignment"]) == pytest.approx(float(objective(outputs, labels)[1]["alignment"]), rel=1e-6)

    def loss(logits):
        return objective(outputs._replace(perception_logits=logits), labels, columns=columns)[0]

    gradient = np.asarray(jax.grad(loss)(outputs.perception_logits))
    assert (gradient[:, columns] != 0).all() and not np.delete(gradient, columns, axis=1).any()


EXTREME = np.array([-1e4, -120.0, -90.0, -20.0, -1.0, 0.0, 0.5, 17.5, 90.0, 120.0, 1e4], np.float32)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_asymmetric_loss_without_its_settings_is_binary_cross_entropy(label):
    labels = jnp.full(EXTREME.shape, label)

    def asymmetric(x):
        return asymmetric_loss(x, labels, asl_gamma_negative=0.0, asl_gamma_positive=0.0, asl_clip=0.0)

    def plain(x):
        return binary_cross_entropy(x, labels)

    # softplus(x) − x, as the plain loss has it, is exact to the last digit of x only.
    np.testing.assert_allclose(asymmetric(EXTREME), plain(EXTREME), rtol=1e-6, atol=2e-6)
    ours, theirs = (jax.grad(lambda x, f=f: jnp.sum(f(x)))(jnp.asarray(EXTREME)) for f in (asymmetric, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("asl_gamma_negative", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("asl_gamma_positive", [0.0, 0.25, 1.0, 2.0])
@pytest.mark.parametrize("asl_clip", [0.0, 0.05])
def test_losses_from_extreme_logits_are_finite_with_their_gradients(
    label, asl_gamma_negative, asl_gamma_positive, asl_clip
):
    labels = jnp.full(EXTREME.shape, label)

    def loss(x):
        return asymmetric_loss(
            x, labels, asl_gamma_negative=asl_gamma_negative, asl_gamma_positive=asl_gamma_positive, asl_clip=asl_clip
        )

    assert np.all(np.isfinite(loss(EXTREME)))
    assert np.all(np.isfinite(jax.grad(lambda x: jnp.sum(loss(x)))(jnp.asarray(EXTREME))))


def test_binary_cross_entropy_at_extreme_logits():
    """Wrong by 1e4: a loss of 1e4 and a gradient of ±1; right by 1e4: 0 and 0."""
    for label, sign in ((jnp.float32(1), -1.0), (jnp.float32(0), 1.0)):
        value, slope = jax.value_and_grad(lambda x, y=label: binary_cross_entropy(x, y))(sign * 1e4)
        assert (float(value), float(slope)) == (1e4, sign)
        value, slope = jax.value_and_grad(lambda x, y=label: binary_cross_entropy(x, y))(-sign * 1e4)
        assert (float(value), float(slope)) == (0.0, 0.0)


@settings(max_examples=80, deadline=None)
@given(st.floats(-30, 30), st.sampled_from([0.0, 1.0]), st.floats(0, 6), st.floats(0, 6), st.floats(0.001, 0.9))
def test_asymmetric_loss_is_the_formula(logit, label, negative, positive, asl_clip):
    with jax.enable_x64(True):
        for used in (0.0, asl_clip):
            ours = asymmetric_loss(
                jnp.asarray([logit]),
                jnp.asarray([label]),
                asl_gamma_negative=negative,
                asl_gamma_positive=positive,
                asl_clip=used,
            )
            expected = class_loss(
                sigmoid(logit), label, asl_gamma_negative=negative, asl_gamma_positive=positive, asl_clip=used
            )
            # 1 − p in float64 has an absolute error of 1e-16; at a logit of 30 that is 1e-3 of it.
            np.testing.assert_allclose(ours, [expected], rtol=2e-3, atol=1e-6)


def test_the_reference_keeps_its_gradient_only_when_told():
    outputs, labels = example(2)

    def of_responses(responses, keep):
        return jnp.sum(alignment(outputs._replace(responses=responses), labels, reference_gradient=keep))

    flowing, stopped = (jax.grad(of_responses)(outputs.responses, keep) for keep in (True, False))
    # d‖r − a‖/dR[b,s,c] = y[b,c] / C · (r − a)[b,s] / ‖r − a‖
    difference = np.einsum("bsc,bc->bs", outputs.responses, labels) / C - outputs.attention
    direction = difference / np.linalg.norm(difference, axis=1, keepdims=True)
    np.testing.assert_allclose(flowing, direction[:, :, None] * labels[:, None, :] / C, rtol=1e-4, atol=1e-7)
    assert not np.any(stopped)
    of_attention = jax.grad(
        lambda map_: jnp.sum(alignment(outputs._replace(attention=map_), labels, reference_gradient=False))
    )(outputs.attention)
    np.testing.assert_allclose(of_attention, -direction, rtol=1e-4, atol=1e-6)


def test_without_a_true_class_the_reference_is_zero():
    outputs, labels = example(3)
    for divide_by in ("all_classes", "true_classes"):
        assert not np.any(reference_map(outputs.responses, labels, divide_by)[-1])


@pytest.mark.parametrize("reference", ["all_classes", "true_classes"])
@pytest.mark.parametrize("norm", ["l2", "l2_squared", "l1"])
def test_no_class_and_equal_maps_have_finite_gradients(norm, reference):
    """The L2 norm has no gradient at 0; ours is 0 there."""
    outputs, labels = example(4)
    responses, attention = outputs.responses.copy(), outputs.attention.copy()
    responses[0], attention[0] = 0.0, 0.0  # equal, exactly
    attention[-1] = 0.0  # equal, and without a class
    outputs = outputs._replace(responses=responses, attention=attention)
    assert float(alignment(outputs, labels, norm=norm, reference=reference)[0]) == 0.0
    gradient = jax.grad(lambda o: objective(o, labels, gamma=1.0, norm=norm, reference=reference)[0])(outputs)
    assert all(np.all(np.isfinite(leaf)) for leaf in gradient)
    assert not np.any(gradient.attention[0])
    assert not np.any(gradient.attention[-1])
    assert np.all(gradient.attention[1])


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, (1, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_distances_have_bounded_gradients_however_small_the_difference(difference):
    expected = {
        "l2": np.linalg.norm(np.float64(difference)),
        "l2_squared": np.sum(np.float64(difference) ** 2),
        "l1": np.sum(np.abs(np.float64(difference))),
    }
    for norm, size in expected.items():
        # Squares below 1e-38 vanish in float32.
        np.testing.assert_allclose(distance(difference, norm), [size], rtol=1e-5, atol=1e-18)
        slope = jax.grad(lambda x, norm=norm: jnp.sum(distance(x, norm)))(difference)
        assert np.all(np.isfinite(slope))
        assert norm == "l2_squared" or np.all(np.abs(slope) <= 1.001)


def test_rows_of_weight_zero_change_nothing():
    outputs, labels = example(5)
    filled = Outputs(*(np.concatenate([leaf, 1e3 + leaf[:2]]) for leaf in outputs))
    weights = np.float32([1] * B + [0, 0])
    long_labels = np.concatenate([labels, 1 - labels[:2]])

    def loss(o, y, w):
        return objective(o, y, gamma=0.5, weights=w)[0]

    value, gradient = jax.value_and_grad(loss)(outputs, labels, None)
    filled_value, filled_gradient = jax.value_and_grad(loss)(filled, long_labels, weights)
    np.testing.assert_allclose(filled_value, value, rtol=1e-6)
    for long, short in zip(filled_gradient, gradient, strict=True):
        np.testing.assert_allclose(long[:B], short, rtol=1e-5, atol=1e-8)
        assert not np.any(long[B:])


def test_gamma_may_be_traced():
    outputs, labels = example(6)
    gammas = jnp.asarray([0.0, 0.001, 10.0])
    together = jax.jit(jax.vmap(lambda gamma: objective(outputs, labels, gamma=gamma)[0]))(gammas)
    expected = [numpy_objective(outputs, labels, **(AUTHORS | {"gamma": float(gamma)}))[0] for gamma in gammas.tolist()]
    np.testing.assert_allclose(together, expected, rtol=1e-5)


def test_the_plain_network_has_one_loss_and_no_alignment():
    outputs, labels = example(7)
    total, terms = objective(Outputs(None, outputs.perception_logits, None, None), labels, gamma=0.0)
    _, means = numpy_objective(outputs, labels, **AUTHORS)
    assert float(total) == pytest.approx(means["perception_loss"], rel=1e-5)
    assert (float(terms["attention_loss"]), float(terms["alignment"])) == (0.0, 0.0)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_positives_weigh_by_their_rarity(power):
    """(negatives / positives)^power, between 1 / limit and limit; a class without positives has the limit's weight."""
    labels = np.zeros((200, 4), np.uint8)
    labels[:150, 0] = labels[:20, 1] = labels[:1, 2] = 1
    weights = class_weights(ObjectiveConfig(pos_weight_power=power, pos_weight_limit=10.0), labels)
    if not power:
        assert weights is None
        return
    expected = [max((50 / 150) ** power, 0.1), (180 / 20) ** power, min(199**power, 10.0), 10.0]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
