"""What a picture cannot be drawn of is refused, in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.plotting.trace import FINEST

if TYPE_CHECKING:  # A picture needs no JAX.
    from xecgnet_jax.evaluation.inference import Maps


def check_signal(signal: np.ndarray, rate: float, tolerance: float) -> None:
    if signal.ndim != 2 or signal.shape[1] != len(LEADS) or not len(signal):
        raise ValueError(f"a signal must be [T, {len(LEADS)}] with T > 0, and is {list(signal.shape)}")
    if not np.isfinite(signal).all():
        raise ValueError("a signal's samples must be finite numbers: what has no value cannot be drawn")
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"the rate must be a positive number of Hz, and is {rate}")
    if not tolerance >= FINEST:
        raise ValueError(f"the tolerance must be at least {FINEST} mm, and is {tolerance}")


def check_classes(
    classes: Sequence[str], probabilities: np.ndarray | None, thresholds: np.ndarray, truth: Collection[str] | None
) -> None:
    expected = (len(classes),)
    if probabilities is not None and (probabilities.shape != expected or not np.isfinite(probabilities).all()):
        raise ValueError(
            f"probabilities must be {len(classes)} finite numbers, one a class, and are {probabilities.tolist()}"
        )
    if thresholds.shape not in ((), expected) or not np.isfinite(thresholds).all():
        raise ValueError(
            f"thresholds must be one finite number or {len(classes)}, one a class, and are {thresholds.tolist()}"
        )
    if isinstance(truth, str):
        raise ValueError(f"truth must be a collection of names, and is the text {truth!r}")
    unknown = [name for name in truth or () if name not in classes]
    if unknown:
        raise ValueError(f"truth names {', '.join(map(repr, unknown))}; the classes are {', '.join(classes)}")


def check_maps(maps: Maps, samples: int, classes: int) -> None:
    edges = np.asarray(maps.edges)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0 or edges[-1] > samples:
        raise ValueError(
            f"the maps' edges must be two or more ascending samples within 0 … {samples}, and are {edges.tolist()}"
        )
    bins = len(edges) - 1
    for name, values, shape in (
        ("attention", maps.attention, (bins,)),
        ("responses", maps.responses, (bins, classes)),
    ):
        if values is None:
            continue
        values = np.asarray(values)
        if values.shape != shape:
            raise ValueError(f"the maps have {bins} bins: {name} must be {list(shape)}, and is {list(values.shape)}")
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"the maps' {name} must be finite and not negative")
    if maps.attention is not None and (np.asarray(maps.attention) > 1).any():
        raise ValueError("the maps' attention must lie within 0 … 1")
