"""The network once more, the slow and plain way: NumPy in float64, a batch as a list of recordings of any length.

Nothing is padded to a common length here, so this is also what a masked batch must equal.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

GROUPS = [(0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)]


def random_variables(model: Any, seed: int, leads: int = 12) -> dict[str, Any]:
    """Variables of `model` in float32, drawn so that no layer is the identity."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 1, leads), np.float32))

    def draw(path: Any, leaf: Any) -> np.ndarray:
        name = path[-1].key
        if name == "kernel":
            value = rng.standard_normal(leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
        elif name in ("scale", "var"):
            value = rng.uniform(0.5, 1.5, leaf.shape)
        else:
            value = 0.1 * rng.standard_normal(leaf.shape)
        return value.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, dict(shapes))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """[T, F] with [K, F, G] → [T, G]: zeros beyond both ends, output t is centerd on input t."""
    beyond = (len(kernel) - 1) // 2
    padded = np.pad(x, ((beyond, beyond), (0, 0)))
    return sum(padded[k : k + len(x)] @ kernel[k] for k in range(len(kernel))) + bias


def pool(x: np.ndarray, size: int = 3) -> np.ndarray:
    """Keras's "same" max pooling of equal size and stride: the odd missing sample is missing on the right."""
    bins = int(np.ceil(len(x) / size))
    left = (size * bins - len(x)) // 2
    return np.stack([x[max(0, size * b - left) : size * b - left + size].max(axis=0) for b in range(bins)])


class NumpyNetwork:
    """Call it once; `statistics` then holds the running statistics after a training step."""

    def __init__(
        self, variables: Any, *, train: bool, head: str = "gap", activation: str = "none", pools: Any = (3,) * 5
    ) -> None:
        self.variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
        self.statistics = jax.tree.map(np.copy, self.variables["batch_stats"])
        self.train, self.head, self.activation, self.pools = train, head, activation, pools

    def __call__(self, signals: list[np.ndarray]) -> tuple[Any, np.ndarray, Any, Any]:
        """Recordings [T, L] → (attention logits, perception logits, attention maps, response maps)."""
        x = self._backbone([np.asarray(signal, np.float64) for signal in signals])
        logits = attention = responses = None
        if "attention_branch" in self.variables["params"]:
            logits, attention, responses = self._attend(x)
            x = [one * (1 + map_[:, None]) for one, map_ in zip(x, attention, strict=True)]
        x = self._bottleneck(x, "perception_branch")
        means = np.stack([one.mean(axis=0) for one in x])
        for name in ("dense_0", "dense_1"):
            layer = self.variables["params"]["perception_branch"][name]
            means = means @ layer["kernel"] + layer["bias"]
        return logits, means, attention, responses

    def _backbone(self, x: list[np.ndarray]) -> list[np.ndarray]:
        for group, size in zip(GROUPS, self.pools, strict=True):
            for index in group:
                x = self._norm(self._conv(x, "backbone", f"conv_{index}"), "backbone", f"norm_{index}")
                if self.activation == "relu":
                    x = _relu(x)
            x = [pool(one, size) for one in x]
        return x

    def _attend(self, x: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
        branch = "attention_branch"
        x = self._norm(self._bottleneck(x, branch), branch, "norm")
        responses = _relu(self._conv(x, branch, "responses"))
        evidence = self._conv(responses, branch, "head") if self.head == "conv" else responses
        maps = self._norm(self._conv(responses, branch, "attention"), branch, "attention_norm")
        return np.stack([one.mean(axis=0) for one in evidence]), [sigmoid(one[:, 0]) for one in maps], responses

    def _bottleneck(self, x: list[np.ndarray], branch: str) -> list[np.ndarray]:
        shortcut = self._norm(self._conv(x, branch, "bottleneck", "shortcut"), branch, "bottleneck", "shortcut_norm")
        for index in range(3):
            x = self._conv(x, branch, "bottleneck", f"conv_{index}")
            x = self._norm(x, branch, "bottleneck", f"norm_{index}")
            if index < 2:
                x = _relu(x)
        return _relu([one + two for one, two in zip(x, shortcut, strict=True)])

    def _conv(self, x: list[np.ndarray], *path: str) -> list[np.ndarray]:
        layer = _at(self.variables["params"], path)
        return [convolve(one, layer["kernel"], layer.get("bias", 0.0)) for one in x]

    def _norm(self, x: list[np.ndarray], *path: str) -> list[np.ndarray]:
        layer, running = _at(self.variables["params"], path), _at(self.variables["batch_stats"], path)
        mean, variance = running["mean"], running["var"]
        if self.train:
            everything = np.concatenate(x)
            mean, variance = everything.mean(axis=0), everything.var(axis=0)
            updated = _at(self.statistics, path)
            updated["mean"] = 0.99 * running["mean"] + 0.01 * mean
            updated["var"] = 0.99 * running["var"] + 0.01 * variance
        return [(one - mean) / np.sqrt(variance + 1.001e-5) * layer["scale"] + layer["bias"] for one in x]


def _relu(x: list[np.ndarray]) -> list[np.ndarray]:
    return [np.maximum(one, 0) for one in x]


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree
