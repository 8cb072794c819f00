"""What a report is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xecgnet_jax.data.leads import RATE
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import Thresholds

if TYPE_CHECKING:  # A report needs no JAX.
    from xecgnet_jax.evaluation.inference import Maps


@dataclass(frozen=True, eq=False)
class Contents:
    """One evaluation of R recordings and C classes. All names and texts may hold anything: they are escaped.

    Attributes:
      title, subtitle: of the page, and a line under it.
      metrics: from `scores.evaluate`, as JSON; see there.
      classes, ids: C and R names.
      labels, probabilities: [R, C], 0 or 1 and float in 0 … 1.
      thresholds: those that `metrics` were computed with.
      signal: position → [T, 12] mV at `rate` Hz.
      maps: of each recording, or None: then pictures are of the signals only.
      training: the records of metrics.jsonl, maybe none.
      step: of the checkpoint, whose epoch is marked in the training curves; None marks the highest validation micro F1.
      about: where the metrics come from: what → text.
      notes: a short text on each recording ("63 years, F"), or None.
    """

    title: str
    metrics: Mapping[str, Any]
    classes: Sequence[str]
    ids: Sequence[str]
    labels: np.ndarray
    probabilities: np.ndarray
    thresholds: Thresholds
    signal: Callable[[int], np.ndarray]
    maps: Sequence[Maps] | None = None
    training: Sequence[Mapping[str, Any]] = ()
    step: int | None = None
    subtitle: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] | None = None
    rate: float = RATE

    def __post_init__(self) -> None:
        recordings, classes = len(self.ids), len(self.classes)
        arrays = {"labels": self.labels, "probabilities": self.probabilities, "thresholds": self.thresholds.values}
        for name, array in arrays.items():
            shape = (classes,) if name == "thresholds" else (recordings, classes)
            if np.shape(array) != shape:
                raise ValueError(
                    f"{name} must be {list(shape)}, as there are {recordings} ids and {classes} classes, and are "
                    f"{list(np.shape(array))}"
                )
        for name, items in (("maps", self.maps), ("notes", self.notes)):
            if items is not None and len(items) != recordings:
                raise ValueError(f"there must be {recordings} {name}, one a recording, and are {len(items)}")

    @cached_property
    def truths(self) -> np.ndarray:
        """[R, C] bool: which classes are true."""
        return np.asarray(self.labels, bool)

    @cached_property
    def predictions(self) -> np.ndarray:
        """[R, C] bool: which classes are predicted."""
        return np.asarray(apply_thresholds(self.probabilities, self.thresholds.values), bool)

    @cached_property
    def wrong(self) -> np.ndarray:
        """[R] bool: which recordings have a class missed or an extra one."""
        return (self.truths != self.predictions).any(axis=1)
