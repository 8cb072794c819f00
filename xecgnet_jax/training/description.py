"""What a checkpoint says of itself, as JSON and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.config import Config, from_dict, rename_old, to_dict
from xecgnet_jax.data.labels import CPSC2018, Vocabulary, vocabulary_from_json
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.errors import CheckpointError, ConfigError
from xecgnet_jax.evaluation.platt import Calibration, calibration_from_json
from xecgnet_jax.evaluation.thresholds import NAMES, Thresholds
from xecgnet_jax.training.progress import Progress

UNITS = "mV"


@dataclass(frozen=True, eq=False)
class Description:
    """What a checkpoint says of itself.

    Attributes:
      config, normalization, progress: of the run.
      vocabulary: its classes are in the order of the logits.
      data: what the run is trained on, see `Dataset.description`.
      versions: of the libraries that wrote it, and the devices it was trained on.
      thresholds: of the classes, chosen on the validation part; by name, 0.5 not among them. None in the middle of an
        epoch.
      calibration: of the probabilities, fitted on the validation part; None in the middle of an epoch, and in
        checkpoints of older versions.
    """

    config: Config
    vocabulary: Vocabulary
    normalization: Normalization
    data: dict[str, Any]
    versions: dict[str, str]
    progress: Progress
    thresholds: dict[str, Thresholds] | None
    calibration: Calibration | None

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        chosen = None
        if self.thresholds is not None:
            chosen = {name: thresholds.values.tolist() for name, thresholds in self.thresholds.items()}
        return {
            "config": to_dict(self.config),
            "classes": list(self.vocabulary.classes),
            "vocabulary": self.vocabulary.to_json(),
            "leads": list(LEADS),
            "rate": self.config.data.rate,
            "units": UNITS,
            "normalization": {name: moment.tolist() for name, moment in self.normalization._asdict().items()},
            "data": self.data,
            "seed": self.config.seed,
            "versions": self.versions,
            "progress": dataclasses.asdict(self.progress),
            "thresholds": chosen,
            "calibration": None if self.calibration is None else self.calibration.to_json(),
        }


def from_json(value: Any, where: Path) -> Description:
    """Returns the description that `Description.to_json` gave, also for the names of older versions.

    Raises:
      CheckpointError: naming `where`; the description is damaged, or of signals that this package does not make.
    """
    value = rename_old(value)
    try:
        moments = [np.asarray(value["normalization"][name], np.float32) for name in ("mean", "std")]
        if any(moment.shape != (len(LEADS),) for moment in moments):
            raise ValueError("normalization is not of twelve leads")
        if not all(np.isfinite(moment).all() for moment in moments) or (moments[1] <= 0).any():
            raise ValueError("a normalization is no number, or a standard deviation not above 0")
        config = from_dict(value["config"])
        found = [value[name] for name in ("leads", "rate", "units")]
        if found != [list(LEADS), config.data.rate, UNITS]:
            raise ValueError(f"it is for leads, rate and units {found}")
        # Older versions had the nine classes only.
        vocabulary = vocabulary_from_json(value["vocabulary"]) if "vocabulary" in value else CPSC2018
        classes = vocabulary.classes
        if list(classes) != value["classes"]:
            raise ValueError("its classes are not those of its vocabulary")
        chosen: dict[str, Thresholds] | None = None
        if value.get("thresholds") is not None:
            values = {name: np.asarray(value["thresholds"][name], np.float64) for name in NAMES[1:]}
            if any(one.shape != (len(classes),) or not np.isfinite(one).all() for one in values.values()):
                raise ValueError("a threshold is missing")
            chosen = {name: Thresholds(name, one) for name, one in values.items()}
        fitted = value.get("calibration")
        return Description(
            config=config,
            vocabulary=vocabulary,
            normalization=Normalization(*moments),
            data=dict(value["data"]),
            versions=dict(value["versions"]),
            progress=Progress(**value["progress"]),
            thresholds=chosen,
            calibration=None if fitted is None else calibration_from_json(fitted, len(classes)),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, ConfigError) as error:
        raise CheckpointError(
            f"{where}: the checkpoint's description is damaged or of another version ({error}); use another checkpoint"
        ) from None
