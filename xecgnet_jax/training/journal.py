"""What one run has reached, and its working directory: checkpoints, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.training.checkpoint import Checkpoints
from xecgnet_jax.training.description import Description, Progress
from xecgnet_jax.training.log import Log, versions
from xecgnet_jax.training.losses import Losses, begun
from xecgnet_jax.training.programs import Programs
from xecgnet_jax.training.state import TrainState


class Journal:
    """One run: where it stands and what it writes.

    Attributes:
      config: of the run.
      workdir: of the run.
      state: its training state, while no program has it.
      step: steps made.
      losses: of the running epoch, as NumPy arrays.
      standing: what its checkpoints say of its progress.
    """

    def __init__(self, config: Config, dataset: Dataset, workdir: Path) -> None:
        self.config, self.workdir = config, workdir
        self.state: TrainState | None = None
        self.step = 0
        self.standing = Progress()
        self.losses: Losses = begun({})
        self._about = (config, dataset.pack.classes, dataset.normalization, dataset.description(), versions())
        self._checkpoints = Checkpoints(workdir)
        self._log: Log | None = None

    @property
    def name(self) -> str:
        return self.workdir.name

    def open(self, programs: Programs) -> None:
        """Takes up the run at its last checkpoint, or begins it."""
        step = self._checkpoints.latest()
        if step is not None:
            description = self._checkpoints.description(step)
            self.standing = description.progress
            if changed := [name for name, version in versions().items() if description.versions.get(name) != version]:
                print(
                    f"other versions than the run was begun with: {', '.join(changed)}; bits may differ",
                    file=sys.stderr,
                )
            self.step = step
        if not self.standing.finished:
            self.state = (
                programs.fresh(self.config.seed)
                if step is None
                else self._checkpoints.state(step, programs.fresh_shapes)
            )
        self.losses = begun(self.standing.losses)
        self._log = Log(self.workdir, self.step)

    @property
    def latest_f1(self) -> float | None:
        """Validation micro F1 of the last finished epoch."""
        assert self._log is not None
        return self._log.latest_f1

    def save_within(self, state: TrainState) -> None:
        """A checkpoint in the middle of an epoch."""
        sums = {name: float(value) for name, value in self.losses.sums.items()}
        self.standing = dataclasses.replace(self.standing, losses=sums)
        self._checkpoints.save(state, self._describe(None), None)

    def end_epoch(self, state: TrainState, record: dict[str, Any], thresholds: dict[str, Thresholds]) -> None:
        """A line of metrics.jsonl and a checkpoint; the sums of the losses begin anew."""
        assert self._log is not None
        self.standing = progressed(self.standing, record, self.config)
        self.losses = begun({})
        self._log.epoch(record)
        self._checkpoints.save(state, self._describe(thresholds), record["validation_micro_f1"])

    def means(self, steps: int) -> dict[str, float]:
        """Mean losses of an epoch of so many steps."""
        return {name: float(total) / steps for name, total in self.losses.sums.items()}

    def close(self) -> None:
        """Waits for saves under way."""
        if self._log is not None:
            self._log.close()
        self._checkpoints.close()

    def _describe(self, thresholds: dict[str, Thresholds] | None) -> dict[str, Any]:
        return Description(*self._about, self.standing, thresholds).to_json()


def progressed(standing: Progress, record: dict[str, Any], config: Config) -> Progress:
    """The standing after an epoch."""
    f1, epoch = record["validation_micro_f1"], record["epoch"]
    better = f1 > standing.best
    if better:
        standing = Progress(best=f1, best_epoch=epoch, best_record=record)
    patience_lost = config.patience > 0 and epoch - standing.best_epoch >= config.patience
    return dataclasses.replace(standing, losses={}, finished=epoch >= config.epochs or patience_lost)
