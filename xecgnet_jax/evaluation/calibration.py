"""How far probabilities are from observed shares: Brier score, expected calibration error, reliability by bins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xecgnet_jax.evaluation.metrics import Floats, as_weights, none_if_nan, ratio

#: Bins of probability, equally wide: [0, 0.1), [0.1, 0.2) … [0.9, 1].
BINS = 10
#: Draws of labels from the probabilities, which show what chance alone does to the calibration error.
_DRAWS = 500


def calibration_metrics(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, Floats]:
    """Returns Brier scores and calibration errors of labels (0 or 1) and probabilities [R, C] with weights [B, R].

    The Brier score of a class is the mean of (probability − label)². Its calibration error (expected calibration error,
    Naeini et al., AAAI 2015, for the probability of the class) is the mean over recordings, bin by bin (`BINS`), of the
    distance between mean probability and share of recordings that have the class. The overall ones take all pairs of
    recording and class together, so that too high for one class can make up for too low for another.

    Returns:
      "brier" and "calibration_error" [B, C], NaN where no recording has the class; "overall_brier" and
      "overall_calibration_error" [B].
    """
    labels, weights = np.asarray(labels, bool), as_weights(weights, len(labels))
    excess = np.asarray(probabilities, np.float64) - labels
    recordings, classes = labels.shape
    binned = np.zeros((recordings, classes, BINS))
    np.put_along_axis(binned, bins_of(probabilities)[:, :, None], excess[:, :, None], axis=2)
    total = weights.sum(axis=1)
    defined = np.where(weights @ labels > 0, 1.0, np.nan)
    error = np.abs((weights @ binned.reshape(recordings, -1)).reshape(-1, classes, BINS)).sum(axis=2)
    squares = weights @ excess**2
    return {
        "brier": ratio(squares, total[:, None]) * defined,
        "calibration_error": ratio(error, total[:, None]) * defined,
        "overall_brier": ratio(squares.mean(axis=1), total),
        "overall_calibration_error": ratio(np.abs(weights @ binned.sum(axis=1)).sum(axis=1) / classes, total),
    }


def bins_of(probabilities: np.ndarray) -> npt.NDArray[np.int64]:
    """Returns the bin, 0 … BINS − 1, of each probability; an edge belongs to the bin above it, 1 to the last."""
    return np.digitize(probabilities, np.arange(1, BINS) / BINS)


def chance_errors(probabilities: np.ndarray, seed: int) -> tuple[Floats, Floats]:
    """Returns the calibration errors that chance alone makes: of labels drawn from the probabilities, then right.

    Consistency resampling of J. Bröcker and L. A. Smith, Increasing the reliability of reliability diagrams, Weather
    and Forecasting 22 (2007) 651–661. Classes and recordings are drawn independently of each other.

    Returns:
      Errors of the draws by class [draws, C] and overall [draws], for probabilities [R, C].
    """
    probabilities = np.asarray(probabilities, np.float64)
    recordings, classes = probabilities.shape
    slot = (bins_of(probabilities) + BINS * np.arange(classes)).ravel()
    rng = np.random.default_rng(seed)
    draws = (probabilities - (rng.random(probabilities.shape) < probabilities) for _ in range(_DRAWS))
    excess = np.stack([np.bincount(slot, draw.ravel(), classes * BINS) for draw in draws]).reshape(-1, classes, BINS)
    by_class = np.abs(excess).sum(axis=2) / recordings
    return by_class, np.abs(excess.sum(axis=1)).sum(axis=1) / (recordings * classes)


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """Returns per bin, over all pairs of recording and class: "from", "to", "pairs", "probability", "true".

    "probability" is the mean in the bin, "true" the share that has the class; both None where the bin is empty.
    """
    bins = bins_of(probabilities).ravel()
    pairs = np.bincount(bins, minlength=BINS)
    probability, true = (ratio(np.bincount(bins, np.ravel(each), BINS), pairs) for each in (probabilities, labels))
    return [
        {"from": index / BINS, "to": (index + 1) / BINS, "pairs": int(pairs[index])}
        | {"probability": none_if_nan(probability[index]), "true": none_if_nan(true[index])}
        for index in range(BINS)
    ]
