"""The golden file: numbers of the authors' Keras model, and the weights and inputs they came from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Golden:
    weights: dict[str, np.ndarray]
    signal: np.ndarray
    labels: np.ndarray
    numbers: dict[str, np.ndarray]


def load(shared: Path) -> Golden:
    with np.load(shared / "golden" / "keras_parity.npz", allow_pickle=False) as file:
        numbers = dict(file)
    rng = np.random.default_rng(1)
    weights = {}
    for name, shape in zip(numbers["names"].tolist(), numbers["shapes"].tolist(), strict=True):
        size = tuple(int(part) for part in shape.strip("(),").split(",") if part.strip())
        kind = name.split("/")[-1].split(":")[0]
        if kind == "kernel":
            value = rng.standard_normal(size) / np.sqrt(np.prod(size[:-1]))
        elif kind in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, size)
        else:
            value = 0.1 * rng.standard_normal(size)
        weights[name] = value.astype(np.float32)
    rng = np.random.default_rng(101)
    signal = rng.standard_normal((4, 2880, 12)).astype(np.float32)
    labels = (rng.uniform(size=(4, 9)) < 0.25).astype(np.float32)
    labels[0, :2] = 1
    return Golden(weights, signal, labels, numbers)
