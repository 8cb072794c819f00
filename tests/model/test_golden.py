"""The network and the objective against the authors' Keras model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.model import golden as golden_file
from tests.model.numpy_network import NumpyNetwork, sigmoid
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.model import XECGNet, apply_merged, collapse
from xecgnet_jax.model.keras import from_keras, keras_paths, keras_shapes
from xecgnet_jax.training.objective import alignment, objective

pytestmark = pytest.mark.versions


@pytest.fixture(scope="module")
def golden(shared):
    return golden_file.load(shared)


@pytest.fixture(scope="module")
def variables(golden):
    return from_keras(golden.weights)


@pytest.fixture(scope="module")
def exact(golden, variables):
    """The four numbers of a recording in float64, by the NumPy rewrite of the network."""
    logits, dense, attention, responses = NumpyNetwork(variables, train=False)(list(golden.signal))
    return [sigmoid(logits), sigmoid(dense), np.stack(attention), np.stack(responses)]


@pytest.mark.parametrize("form", [pytest.param("eager", marks=pytest.mark.slow), "jitted", "collapsed"])
def test_inference(golden, variables, exact, form):
    """Within 1e-5 · (1 + |x|) of float64; and nearer to it than Keras's numbers are, or within 1.5e-5 of those.

    Keras computed in float32 as well: its own rounding is 1.4e-5 from float64, so a closer bound on the distance to its
    numbers alone would hold on some processors only.
    """
    model = XECGNet()
    if form == "collapsed":
        collapsed = collapse(model, variables)
        outputs = jax.jit(collapsed.apply)(collapsed.variables, golden.signal)
    else:
        apply = jax.jit(model.apply) if form == "jitted" else model.apply
        outputs = apply(variables, jnp.asarray(golden.signal))
    ours = [
        jax.nn.sigmoid(outputs.attention_logits),
        jax.nn.sigmoid(outputs.perception_logits),
        outputs.attention,
        outputs.responses,
    ]
    keras = [golden.numbers[name] for name in ("eval_att", "eval_per", "eval_map", "eval_resp")]
    keras[2] = keras[2][..., 0]
    for one, other, truth in zip(ours, keras, exact, strict=True):
        size = 1 + np.abs(truth)
        our_error, keras_error = np.abs(one - truth) / size, np.abs(other - truth) / size
        assert np.max(keras_error) < 2e-5
        assert np.max(our_error) < 1e-5
        assert np.all((our_error <= keras_error) | (np.abs(one - other) / size < 1.5e-5))


@pytest.mark.parametrize("merged", [False, True])
def test_loss_and_gradients(golden, variables, merged):
    """Layer by layer, and as training computes it."""
    model, labels, expected = XECGNet(), jnp.asarray(golden.labels), golden.numbers
    apply = partial(apply_merged, model) if merged else model.apply

    def loss(params):
        outputs, _ = apply(variables | {"params": params}, golden.signal, train=True, mutable=["batch_stats"])
        return objective(outputs, labels, gamma=0.01)[0], outputs

    (total, outputs), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    np.testing.assert_allclose(jax.nn.sigmoid(outputs.attention_logits), expected["train_att"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(jax.nn.sigmoid(outputs.perception_logits), expected["train_per"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(jnp.mean(alignment(outputs, labels)), expected["train_l2"], rtol=1e-5)
    np.testing.assert_allclose(total, expected["train_total"], rtol=1e-5)
    np.testing.assert_allclose(optax.tree.norm(gradient), expected["train_gnorm"], rtol=1e-5)
    paths = keras_paths()
    for name, norm in zip(expected["tnames"].tolist(), expected["train_gnorms"], strict=True):
        leaf = {"params": gradient}
        for key in paths[name]:
            leaf = leaf[key]
        assert abs(np.linalg.norm(np.asarray(leaf).ravel()) - norm) <= 1e-3 * (1 + norm), name


def test_the_golden_names_are_ours(golden):
    assert set(golden.weights) == set(keras_shapes())


def test_parameter_count():
    shapes = keras_shapes()
    trainable = [shape for name, shape in shapes.items() if keras_paths()[name][0] == "params"]
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 4_125_718
    assert sum(int(np.prod(shape)) for shape in trainable) == 4_115_476


def zeros() -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in keras_shapes().items()}


def test_weights_of_another_network_are_refused_by_name():
    weights = zeros()
    del weights["conv1d_7/bias:0"]
    weights["conv1d_99/kernel:0"] = np.zeros((1,), np.float32)
    with pytest.raises(CheckpointError, match=r"1 missing \(conv1d_7/bias:0\); 1 unknown \(conv1d_99/kernel:0\)"):
        from_keras(weights)
    weights = zeros() | {"conv1d_3/kernel:0": np.zeros((3, 2, 1), np.float32)}
    with pytest.raises(CheckpointError, match=r"1 of another shape \(conv1d_3/kernel:0 \(3, 2, 1\), not \(3, "):
        from_keras(weights)


def test_names_of_keras_3_are_told_in_a_short_line():
    with pytest.raises(CheckpointError, match="with the :0 that Keras 3 leaves out") as error:
        from_keras({name.removesuffix(":0"): array for name, array in zeros().items()})
    assert "132 missing" in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("conv1d/kernel:0", np.nan, "no numbers"),
        ("conv1d/bias:0", -np.inf, "no numbers"),
        ("batch_normalization/moving_variance:0", -1e-3, "variances below 0"),
    ],
)
def test_values_that_no_trained_network_has_are_refused(name, value, said):
    weights = zeros()
    weights[name].flat[1] = value
    with pytest.raises(CheckpointError, match=f"{name} has .*{said}"):
        from_keras(weights)
