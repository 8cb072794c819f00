"""The PyTorch peer is the same network: outputs, loss, gradients and statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xecgnet_jax import XECGNet, probabilities
from xecgnet_jax.training.objective import objective

pytestmark = pytest.mark.ci

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from benchmarks import torch_peer  # noqa: E402  (imports torch)

WIDTH = 0.125


@pytest.fixture(scope="module")
def variables():
    """Of a network where no statistic, scale or bias is still 0 or 1."""
    signal = jax.ShapeDtypeStruct((1, 243, 12), jnp.float32)
    shapes = jax.eval_shape(XECGNet(width=WIDTH).init, jax.random.key(0), signal)
    rng = np.random.default_rng(5)

    def draw(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), jnp.float32)
        spread = np.prod(leaf.shape[:-1]) ** -0.5 if name == "kernel" else 0.2
        return jnp.asarray(spread * rng.normal(size=leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, dict(shapes))


def batch(samples: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(samples)
    signal = rng.normal(size=(4, samples, 12)).astype(np.float32)
    labels = np.zeros((4, 9), np.float32)
    labels[0, 2] = labels[1, [0, 4, 8]] = labels[2, 5] = 1  # the last has none
    return signal, labels


def as_torch(signal: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(signal.transpose(0, 2, 1).copy())


def assert_same_outputs(ours, theirs, tolerance: float) -> None:
    for name in ("attention_logits", "perception_logits", "attention"):
        np.testing.assert_allclose(getattr(theirs, name).numpy(force=True), getattr(ours, name), atol=tolerance)
    responses = theirs.responses.numpy(force=True).transpose(0, 2, 1)
    np.testing.assert_allclose(responses, ours.responses, atol=tolerance)


# 486: nothing to pad. 727 and 728: the first pool lacks 2 samples and 1. 2,880: the paper's.
@pytest.mark.parametrize("samples", (486, 727, 728, 2880))
def test_inference_is_the_same(variables, samples):
    signal, _ = batch(samples)
    ours = jax.jit(XECGNet(width=WIDTH).apply)(variables, jnp.asarray(signal))
    peer = torch_peer.make_peer(variables, WIDTH).eval()
    with torch.inference_mode():
        theirs = peer(as_torch(signal))
        merged = torch_peer.fold(peer)(as_torch(signal))
    assert_same_outputs(ours, theirs, 1e-4)
    assert_same_outputs(ours, merged, 1e-4)
    np.testing.assert_allclose(torch_peer.probabilities(theirs), probabilities(ours), atol=1e-5)


def test_training_is_the_same(variables):
    samples = 727  # to be padded by 2 samples
    signal, labels = batch(samples)
    model = XECGNet(width=WIDTH)

    def loss(params):
        outputs, updated = model.apply(
            variables | {"params": params}, jnp.asarray(signal), train=True, mutable=["batch_stats"]
        )
        return objective(outputs, jnp.asarray(labels), gamma=0.3)[0], (outputs, updated["batch_stats"])

    (total, (ours, statistics)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    peer = torch_peer.make_peer(variables, WIDTH).train()
    theirs = peer(as_torch(signal))
    their_total = torch_peer.objective(theirs, torch.from_numpy(labels), gamma=0.3)
    their_total.backward()

    assert_same_outputs(ours, theirs, 1e-4)
    assert their_total.item() == pytest.approx(float(total), abs=1e-5)
    expected = torch_peer.torch_names(gradient)
    found = torch_peer.gradients(peer)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5 + 1e-4 * np.abs(value).max(), err_msg=name)
    running = dict(peer.named_buffers())
    mean = statistics["backbone"]["norm_0"]["mean"]
    np.testing.assert_allclose(running["backbone.norms.0.running_mean"], mean, atol=1e-6)
    # PyTorch keeps the unbiased variance, Keras (and we) the biased one.
    before, count = variables["batch_stats"]["backbone"]["norm_0"]["var"], 4 * samples
    unbiased = 0.99 * before + (statistics["backbone"]["norm_0"]["var"] - 0.99 * before) * count / (count - 1)
    np.testing.assert_allclose(running["backbone.norms.0.running_var"], unbiased, atol=1e-6)


def test_a_training_step_learns(variables):
    signal, labels = batch(486)
    peer = torch_peer.make_peer(variables, WIDTH)
    step = torch_peer.training_step(peer, learning_rate=1e-3)
    losses = [step(as_torch(signal), torch.from_numpy(labels)).item() for _ in range(5)]
    assert losses[-1] < losses[0]
