"""What the validation part says of a model after an epoch."""

from __future__ import annotations

import numpy as np

from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.evaluation.inference import predict_recordings
from xecgnet_jax.evaluation.metrics import apply_thresholds, count, summarize
from xecgnet_jax.evaluation.thresholds import Thresholds, best_f1, best_subset
from xecgnet_jax.model import collapse
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.state import Variables

Validation = tuple[dict[str, float | None], dict[str, Thresholds]]


def validate(engine: Engine, variables: Variables, dataset: Dataset) -> Validation:
    """Returns the metrics of the validation part, and the thresholds that do best on it, by name."""
    probabilities = predict_recordings(
        engine.predict,
        collapse(engine.model, variables).variables,
        lambda position: dataset.pack.signal(int(dataset.validation[position])),
        dataset.pack.lengths[dataset.validation],
        spec=engine.spec,
        normalization=dataset.normalization,
        batch_size=engine.config.batch_size,
    ).probabilities
    return measure(dataset.pack.labels[dataset.validation], probabilities, dataset.pack.classes)


def measure(labels: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]) -> Validation:
    """Returns metrics and thresholds of labels [R, C] and probabilities [R, C], as `validate` does."""
    summary = summarize(count(labels, apply_thresholds(probabilities)), classes)
    metrics = {
        "validation_micro_f1": summary["micro"]["f1"] or 0.0,
        "validation_macro_f1": summary["macro"]["f1"],
        "validation_subset_accuracy": summary["subset_accuracy"]["all"]["accuracy"],
        "validation_multi_label_subset_accuracy": summary["subset_accuracy"]["multi_label"]["accuracy"],
    }
    chosen = (best_f1(labels, probabilities), best_subset(labels, probabilities))
    return metrics, {one.name: one for one in chosen}
