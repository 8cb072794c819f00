"""The authors' Keras weights under their names → Flax variables."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from xecgnet_jax.errors import CheckpointError

#: Keras's names of a normalization's variables → (collection, ours).
_NORM = {
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}


def _conv_name(index: int) -> str:
    return f"conv1d_{index}" if index else "conv1d"


def _norm_name(index: int) -> str:
    return f"batch_normalization_{index}" if index else "batch_normalization"


def _layers() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """(convolutions and dense layers, normalizations): Keras layer name → path in our variables."""
    weighted: dict[str, tuple[str, ...]] = {}
    norms: dict[str, tuple[str, ...]] = {}
    for index in range(13):
        weighted[_conv_name(index)] = ("backbone", f"conv_{index}")
        norms[_norm_name(index)] = ("backbone", f"norm_{index}")
    for branch, first in (("attention_branch", 13), ("perception_branch", 17)):
        weighted[_conv_name(first)] = (branch, "bottleneck", "shortcut")
        norms[_norm_name(first)] = (branch, "bottleneck", "shortcut_norm")
        for index in range(3):
            weighted[_conv_name(first + 1 + index)] = (branch, "bottleneck", f"conv_{index}")
            norms[_norm_name(first + 1 + index)] = (branch, "bottleneck", f"norm_{index}")
    norms["attention_branch_bn_1"] = ("attention_branch", "norm")
    weighted["attention_branch_conv_1"] = ("attention_branch", "responses")
    weighted["attention_branch_att_conv_1"] = ("attention_branch", "attention")
    norms["attention_branch_att_bn_1"] = ("attention_branch", "attention_norm")
    weighted["perception_branch_dense_1"] = ("perception_branch", "dense_0")
    weighted["perception_branch_dense_2"] = ("perception_branch", "dense_1")
    return weighted, norms


_BIASED = {_conv_name(index) for index in range(13)} | {
    "perception_branch_dense_1",
    "perception_branch_dense_2",
}


def keras_paths() -> dict[str, tuple[str, ...]]:
    """Keras variable name (`conv1d_7/kernel:0`) → path in our variables, collection first."""
    weighted, norms = _layers()
    paths = {}
    for layer, path in weighted.items():
        paths[f"{layer}/kernel:0"] = ("params", *path, "kernel")
        if layer in _BIASED:
            paths[f"{layer}/bias:0"] = ("params", *path, "bias")
    for layer, path in norms.items():
        for keras, (collection, ours) in _NORM.items():
            paths[f"{layer}/{keras}:0"] = (collection, *path, ours)
    return paths


def keras_shapes() -> dict[str, tuple[int, ...]]:
    """Keras variable name → shape, of the authors' final network."""
    import jax

    from xecgnet_jax.model.xecgnet import XECGNet

    signal = jax.ShapeDtypeStruct((1, 1, 12), jnp.float32)
    variables = jax.eval_shape(XECGNet().init, jax.random.key(0), signal)
    shapes = {}
    for name, path in keras_paths().items():
        leaf = variables
        for key in path:
            leaf = leaf[key]
        shapes[name] = leaf.shape
    return shapes


def from_keras(weights: Mapping[str, np.ndarray]) -> dict:
    """Variables of `XECGNet()` from the authors' weights.

    Args:
      weights: Keras variable name → array, such as {"conv1d/kernel:0": [3, 12, 64], …}; all 132 of them.

    Returns:
      {"params", "batch_stats"}, float32.

    Raises:
      CheckpointError: names that are missing, unknown or misshapen, all of them by name.
    """
    shapes = keras_shapes()
    faults = [f"missing {name}" for name in shapes if name not in weights]
    faults += [f"unknown {name}" for name in weights if name not in shapes]
    faults += [
        f"{name} has shape {np.shape(weights[name])}, not {shape}"
        for name, shape in shapes.items()
        if name in weights and np.shape(weights[name]) != shape
    ]
    if faults:
        raise CheckpointError("these are not the weights of the authors' final network: " + "; ".join(faults))
    variables: dict = {}
    for name, path in keras_paths().items():
        node = variables
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = jnp.asarray(weights[name], jnp.float32)
    return variables
