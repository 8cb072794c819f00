"""What the validation part says of the members after an epoch."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from xecgnet_jax.config import window_length
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.evaluation.inference import Predict, make_predict, predict_recordings
from xecgnet_jax.evaluation.metrics import apply_thresholds, summarize
from xecgnet_jax.evaluation.thresholds import Thresholds, best_f1, best_subset
from xecgnet_jax.model import Outputs, RepeatedBin, collapse
from xecgnet_jax.model.collapsed import apply_collapsed
from xecgnet_jax.training.programs import AXIS, Programs


def make_joint_predict(predict: Predict, programs: Programs, members: int) -> Predict:
    """Inference of M models at once: (variables with leading axes M, …) → probabilities [B, M · C].

    `predict_recordings` takes them for M · C classes of one model.
    """

    @partial(jax.jit, static_argnames="repeat")
    def joint(
        variables: Any, signal: jax.Array, bins: jax.Array | None, repeat: RepeatedBin | None = None
    ) -> tuple[jax.Array, Outputs]:
        def each(variables: Any, signal: jax.Array, bins: jax.Array | None) -> tuple[jax.Array, Outputs]:
            return programs.each_member(lambda one: predict(one, signal, bins, repeat), (0,))(variables)

        split, whole = PartitionSpec(AXIS), PartitionSpec()
        found, outputs = programs.shared(each, members, (split, whole, whole), split)(variables, signal, bins)
        return found.transpose(1, 0, 2).reshape(found.shape[1], -1), outputs

    return joint


class Validation:
    """The validation part's probabilities, for one model or for several at once."""

    def __init__(self, programs: Programs, dataset: Dataset) -> None:
        self._programs, self._parts = programs, dataset
        self._predict = make_predict(programs.model.apply)
        self._collapsed = make_predict(partial(apply_collapsed, programs.model))
        self._joint: dict[int, Predict] = {}

    def probabilities(self, variables: Any) -> np.ndarray:
        """[R, C] of a model."""
        return self._of_all(self._collapsed, collapse(self._programs.model, variables).variables)

    def joint_probabilities(self, variables: Any, members: int) -> np.ndarray:
        """[M, R, C] of models whose variables have leading axes M."""
        if members not in self._joint:
            self._joint[members] = make_joint_predict(self._predict, self._programs, members)
        flat = self._of_all(self._joint[members], variables)
        return flat.reshape(len(flat), members, -1).transpose(1, 0, 2)

    def _of_all(self, predict: Predict, variables: Any) -> np.ndarray:
        config, dataset = self._programs.config, self._parts
        return predict_recordings(
            predict,
            variables,
            lambda position: dataset.pack.signal(int(dataset.validation[position])),
            dataset.pack.lengths[dataset.validation],
            window=config.data.window,
            length=window_length(config.data),
            normalization=dataset.normalization,
            batch_size=config.batch_size,
        ).probabilities


def figures(dataset: Dataset, probabilities: np.ndarray) -> tuple[dict[str, float | None], dict[str, Thresholds]]:
    """The figures of the validation part from its probabilities [R, C], and the thresholds that do best on it."""
    labels = dataset.pack.labels[dataset.validation]
    summary = summarize(labels, apply_thresholds(probabilities))
    summary["micro_f1"] = summary["micro_f1"] or 0.0  # of nothing true and nothing predicted
    made = {f"validation_{name}": value for name, value in summary.items()}
    chosen = (best_f1(labels, probabilities), best_subset(labels, probabilities))
    return made, {one.name: one for one in chosen}
