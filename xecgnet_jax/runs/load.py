"""Trained runs: a working directory or checkpoint → a model that predicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import Config
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.windows import evaluation_windows, window_spec
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.inference import Predict, Predictions, make_predict, predict_recordings
from xecgnet_jax.evaluation.thresholds import NAMES, ThresholdName, Thresholds, half
from xecgnet_jax.model import Collapsed, XECGNet, collapse
from xecgnet_jax.training.checkpoint import FOLDER, Checkpoints
from xecgnet_jax.training.state import build_model


@dataclass(frozen=True, eq=False)
class Run:
    """A checkpoint, ready to predict.

    Attributes:
      workdir: of the training run.
      step: of the checkpoint.
      config: of the run.
      classes: names, in the order of the probabilities.
      normalization: per lead, of the training part.
      model: the module.
      variables: its variables.
      data: what the run was trained on, as `Dataset.description`.
      chosen: thresholds by name, see `thresholds`.
      named: the checkpoint was asked for by its step, not as the best one.
    """

    workdir: Path
    step: int
    config: Config
    classes: tuple[str, ...]
    normalization: Normalization
    model: XECGNet
    variables: dict[str, Any]
    data: dict[str, Any]
    chosen: dict[str, Thresholds] | None
    named: bool = False

    def predict(self, pack: Pack, rows: np.ndarray, *, batch_size: int = 32, progress: bool = False) -> np.ndarray:
        """Class probabilities [n, C] of whole recordings, with the window that the run was trained with."""
        return self.predict_rows(pack, rows, batch_size=batch_size, progress=progress).probabilities

    def predict_rows(
        self, pack: Pack, rows: np.ndarray, *, maps: bool = False, batch_size: int = 32, progress: bool = False
    ) -> Predictions:
        """What the network says of recordings of a pack; see `predict_signals`."""
        return self.predict_signals(
            lambda position: pack.signal(int(rows[position])),
            pack.lengths[rows],
            maps=maps,
            batch_size=batch_size,
            progress=progress,
        )

    def predict_signals(
        self,
        signal: Callable[[int], np.ndarray],
        lengths: np.ndarray,
        *,
        maps: bool = False,
        batch_size: int = 32,
        progress: bool = False,
    ) -> Predictions:
        """What the network says of signals, with the window that the run was trained with.

        Args:
          signal: position → [T, 12] float32, mV at 500 Hz, leads in the standard order.
          lengths: [R] samples of each.
          maps: give the maps, too.
          batch_size: windows in a step.
          progress: show a progress bar.
        """
        spec = window_spec(self.config)
        windows = len(evaluation_windows(lengths, spec)[0])
        with tqdm(total=windows, unit="window", desc="predict", disable=None if progress else True) as bar:
            return predict_recordings(
                self._predict,
                self._collapsed.variables,
                signal,
                lengths,
                spec=spec,
                normalization=self.normalization,
                batch_size=batch_size,
                maps=maps,
                progress=bar.update,
            )

    def thresholds(self, name: ThresholdName) -> Thresholds:
        """The thresholds of that name; all but "0.5" were chosen on the validation part while training.

        Raises:
          CheckpointError: this checkpoint has none, or of no such name.
        """
        if name == "0.5":
            return half(len(self.classes))
        if self.chosen is None:
            raise CheckpointError(
                f"{self.workdir}: checkpoint {self.step} has no thresholds but 0.5: it was saved in the middle of an "
                "epoch, without looking at the validation part, or by an older version; use another checkpoint, or 0.5"
            )
        if name not in self.chosen:
            raise CheckpointError(f"{self.workdir}: there are no thresholds {name!r}; possible: {', '.join(NAMES)}")
        return self.chosen[name]

    def all_thresholds(self) -> list[Thresholds]:
        """0.5, and those of the checkpoint."""
        return [half(len(self.classes)), *(self.chosen or {}).values()]

    @cached_property
    def _collapsed(self) -> Collapsed:
        return collapse(self.model, self.variables)

    @cached_property
    def _predict(self) -> Predict:
        """Compiled once a run, however often it predicts."""
        return make_predict(self._collapsed.apply)


def load_run(path: Path) -> Run:
    """The best checkpoint of a working directory, or the one that WORKDIR/checkpoints/STEP names.

    Raises:
      CheckpointError: there is none, or it is damaged.
    """
    path = Path(path)
    named = path.name.isdigit() and path.parent.name == FOLDER
    workdir = path.parent.parent if named else path
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        if named and not path.is_dir():
            raise CheckpointError(f"{path}: there is no such checkpoint")
        step = int(path.name) if named else checkpoints.best()
        description = checkpoints.description(step)
        model = build_model(description.config.model, len(description.classes))
        like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, len(LEADS))))
        return Run(
            workdir=workdir,
            step=step,
            config=description.config,
            classes=description.classes,
            normalization=description.normalization,
            model=model,
            variables=checkpoints.model(step, dict(like)),
            data=description.data,
            chosen=description.thresholds,
            named=named,
        )
    finally:
        checkpoints.close()
