"""What the validation part says of a model after an epoch."""

from __future__ import annotations

from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.evaluation.inference import predict_recordings
from xecgnet_jax.evaluation.metrics import apply_thresholds, summarize
from xecgnet_jax.evaluation.thresholds import Thresholds, best_f1, best_subset
from xecgnet_jax.model import collapse
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.state import Variables


def validate(
    engine: Engine, variables: Variables, dataset: Dataset
) -> tuple[dict[str, float | None], dict[str, Thresholds]]:
    """Returns the metrics of the validation part, and the thresholds that do best on it, by name."""
    labels = dataset.pack.labels[dataset.validation]
    probabilities = predict_recordings(
        engine.predict,
        collapse(engine.model, variables).variables,
        lambda position: dataset.pack.signal(int(dataset.validation[position])),
        dataset.pack.lengths[dataset.validation],
        spec=engine.spec,
        normalization=dataset.normalization,
        batch_size=engine.config.batch_size,
    ).probabilities
    metrics = {
        f"validation_{name}": value for name, value in summarize(labels, apply_thresholds(probabilities)).items()
    }
    metrics["validation_micro_f1"] = metrics["validation_micro_f1"] or 0.0  # of nothing true and nothing predicted
    chosen = (best_f1(labels, probabilities), best_subset(labels, probabilities))
    return metrics, {one.name: one for one in chosen}
