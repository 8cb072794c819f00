"""What a report is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import Thresholds

if TYPE_CHECKING:  # A report needs no JAX.
    from xecgnet_jax.evaluation.inference import Maps


@dataclass(frozen=True, eq=False)
class Contents:
    """One evaluation. R recordings, C classes. All names and texts may hold anything: they are escaped.

    Attributes:
      title: of the page.
      metrics: from `scores.evaluate`; its layout is in docs/evaluation.md.
      classes: C names.
      ids: R names.
      labels: [R, C], 0 or 1.
      probabilities: [R, C] in 0 … 1.
      thresholds: with these `metrics` were made.
      signal: position → [T, 12] mV at 500 Hz.
      maps: of each recording, or None: then pictures are of the signals only.
      training: the records of metrics.jsonl, maybe none.
      step: of the checkpoint, whose epoch is marked in the training curves; None marks the highest validation micro F1.
      subtitle: a line under the title.
      about: where the figures come from: what → text.
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

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.classes))
        for name, array in (("labels", self.labels), ("probabilities", self.probabilities)):
            if np.shape(array) != shape:
                raise ValueError(
                    f"{name} must be {list(shape)}, as there are {shape[0]} ids and {shape[1]} classes, and are "
                    f"{list(np.shape(array))}"
                )
        if np.shape(self.thresholds.values) != shape[1:]:
            raise ValueError(f"there must be {shape[1]} thresholds, and are {np.shape(self.thresholds.values)}")
        for name, texts in (("maps", self.maps), ("notes", self.notes)):
            if texts is not None and len(texts) != shape[0]:
                raise ValueError(f"there must be {shape[0]} {name}, one a recording, and are {len(texts)}")

    @cached_property
    def truths(self) -> np.ndarray:
        """[R, C] bool."""
        return np.asarray(self.labels, bool)

    @cached_property
    def predictions(self) -> np.ndarray:
        """[R, C] bool."""
        return np.asarray(apply_thresholds(self.probabilities, self.thresholds.values), bool)
