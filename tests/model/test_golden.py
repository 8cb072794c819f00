"""The network and the objective against the authors' Keras model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.model import golden as golden_file
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.model import XECGNet
from xecgnet_jax.model.keras import from_keras, keras_paths, keras_shapes
from xecgnet_jax.training.objective import alignment, objective


@pytest.fixture(scope="module")
def golden(shared):
    return golden_file.load(shared)


@pytest.fixture(scope="module")
def variables(golden):
    return from_keras(golden.weights)


def test_inference(golden, variables):
    """Operation by operation, as Keras ran: fused by jit, one of the 432 responses differs by 1.25e-5 · (1 + |x|).

    That one is the golden file's own rounding, see `test_rounding_is_smaller_than_the_golden_files`.
    """
    outputs = XECGNet().apply(variables, jnp.asarray(golden.signal))
    expected = golden.numbers
    np.testing.assert_allclose(jax.nn.sigmoid(outputs.attention_logits), expected["eval_att"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(jax.nn.sigmoid(outputs.perception_logits), expected["eval_per"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs.attention, expected["eval_map"][..., 0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs.responses, expected["eval_resp"], rtol=1e-5, atol=1e-5)


def test_rounding_is_smaller_than_the_golden_files(golden, variables):
    jitted = jax.jit(XECGNet().apply)(variables, golden.signal)
    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), variables)
        exact = np.asarray(XECGNet().apply(double, jnp.asarray(golden.signal, jnp.float64)).responses)
    ours = np.max(np.abs(jitted.responses - exact) / (1 + exact))
    keras = np.max(np.abs(golden.numbers["eval_resp"] - exact) / (1 + exact))
    assert ours < keras < 2e-5
    assert ours < 1e-5


def test_loss_and_gradients(golden, variables):
    model, labels, expected = XECGNet(), jnp.asarray(golden.labels), golden.numbers

    def loss(params):
        outputs, _ = model.apply(variables | {"params": params}, golden.signal, train=True, mutable=["batch_stats"])
        return objective(outputs, labels, gamma=0.01)[0], outputs

    (total, outputs), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    np.testing.assert_allclose(jax.nn.sigmoid(outputs.attention_logits), expected["train_att"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(jax.nn.sigmoid(outputs.perception_logits), expected["train_per"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(jnp.mean(alignment(outputs, labels)), expected["train_l2"], rtol=1e-5)
    np.testing.assert_allclose(total, expected["train_total"], rtol=1e-5)
    np.testing.assert_allclose(optax.global_norm(gradient), expected["train_gnorm"], rtol=1e-5)
    paths = keras_paths()
    for name, norm in zip(expected["tnames"].tolist(), expected["train_gnorms"], strict=True):
        leaf = {"params": gradient}
        for key in paths[name]:
            leaf = leaf[key]
        assert abs(float(jnp.linalg.norm(leaf.ravel())) - norm) <= 1e-3 * (1 + norm), name


def test_the_golden_names_are_ours(golden):
    assert set(golden.weights) == set(keras_shapes())


def test_parameter_count():
    shapes = keras_shapes()
    trainable = [shape for name, shape in shapes.items() if keras_paths()[name][0] == "params"]
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 4_125_718
    assert sum(int(np.prod(shape)) for shape in trainable) == 4_115_476


def test_weights_of_another_network_are_refused_by_name():
    weights = {name: np.zeros(shape, np.float32) for name, shape in keras_shapes().items()}
    del weights["conv1d_7/bias:0"]
    weights["conv1d_99/kernel:0"] = np.zeros((1,), np.float32)
    weights["conv1d_3/kernel:0"] = np.zeros((3, 2, 1), np.float32)
    with pytest.raises(CheckpointError) as error:
        from_keras(weights)
    for word in (
        "missing conv1d_7/bias:0",
        "unknown conv1d_99/kernel:0",
        "conv1d_3/kernel:0 has shape (3, 2, 1)",
    ):
        assert word in str(error.value)
