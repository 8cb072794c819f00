"""The authors' Keras weights under their names → Flax variables."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from xecgnet_jax.errors import CheckpointError, first_few
from xecgnet_jax.model.xecgnet import XECGNet

#: Keras's names of a normalization's variables → (collection, ours).
_NORM = {
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}


def keras_paths() -> dict[str, tuple[str, ...]]:
    """Returns Keras variable name (`conv1d_7/kernel:0`) → path in our variables, collection first."""
    pairs: list[tuple[tuple[str, ...], str, str]] = [(("backbone",), f"conv_{i}", f"norm_{i}") for i in range(13)]
    for branch in ("attention_branch", "perception_branch"):
        names = [("shortcut", "shortcut_norm"), *((f"conv_{i}", f"norm_{i}") for i in range(3))]
        pairs += [((branch, "bottleneck"), *both) for both in names]
    # Keras numbers its layers, but for the first: conv1d, conv1d_1, …
    numbers = ["", *(f"_{i}" for i in range(1, len(pairs)))]
    convs = {f"conv1d{n}": (*path, conv) for n, (path, conv, _) in zip(numbers, pairs, strict=True)}
    norms = {f"batch_normalization{n}": (*path, norm) for n, (path, _, norm) in zip(numbers, pairs, strict=True)}
    for middle, conv, norm in (("", "responses", "norm"), ("att_", "attention", "attention_norm")):
        convs[f"attention_branch_{middle}conv_1"] = ("attention_branch", conv)
        norms[f"attention_branch_{middle}bn_1"] = ("attention_branch", norm)
    convs |= {f"perception_branch_dense_{i + 1}": ("perception_branch", f"dense_{i}") for i in range(2)}
    paths = {}
    for layer, path in convs.items():
        paths[f"{layer}/kernel:0"] = ("params", *path, "kernel")
        if path[0] == "backbone" or "dense" in layer:
            paths[f"{layer}/bias:0"] = ("params", *path, "bias")
    for layer, path in norms.items():
        paths |= {f"{layer}/{keras}:0": (kind, *path, ours) for keras, (kind, ours) in _NORM.items()}
    return paths


def keras_shapes() -> dict[str, tuple[int, ...]]:
    """Returns Keras variable name → shape, of the authors' final network."""
    leaves = flatten_dict(jax.eval_shape(XECGNet().init, jax.random.key(0), jnp.zeros((1, 1, 12))))
    return {name: leaves[path].shape for name, path in keras_paths().items()}


def from_keras(weights: Mapping[str, np.ndarray]) -> dict:
    """Returns {"params", "batch_stats"} of `XECGNet()`, float32, from the authors' weights.

    Args:
      weights: Keras variable name → array, such as {"conv1d/kernel:0": [3, 12, 64], …}; all 132 of them.

    Raises:
      CheckpointError: names that are missing, unknown or misshapen, or values that no trained network has.
    """
    shapes = keras_shapes()
    missing = [name for name in shapes if name not in weights]
    unknown = [name for name in weights if name not in shapes]
    what = "these are not the weights of the authors' final network"
    if missing or unknown:
        kinds = [("missing", missing), ("unknown", unknown)]
        said = "; ".join(f"{len(names)} {kind} ({first_few(names, 3)})" for kind, names in kinds if names)
        hint = ", with the :0 that Keras 3 leaves out" if any(f"{name}:0" in shapes for name in unknown) else ""
        raise CheckpointError(f"{what}: {said}; names must be like {next(iter(shapes))}{hint}")
    arrays = {name: np.asarray(weights[name]) for name in shapes}
    if wrong := [name for name, array in arrays.items() if array.shape != shapes[name]]:
        found = "; ".join(f"{name} {arrays[name].shape}, not {shapes[name]}" for name in wrong[:3])
        raise CheckpointError(f"{what}: {len(wrong)} of another shape ({found})")
    if wrong := [name for name, array in arrays.items() if array.dtype.kind != "f" or not np.isfinite(array).all()]:
        raise CheckpointError(f"{what}: {first_few(wrong, 3)} has values that are no numbers")
    if wrong := [name for name, array in arrays.items() if "moving_variance" in name and (array < 0).any()]:
        raise CheckpointError(f"{what}: {first_few(wrong, 3)} has variances below 0")
    return unflatten_dict({path: jnp.asarray(arrays[name], jnp.float32) for name, path in keras_paths().items()})
