"""Where a run is: what its checkpoints keep of it, and what the terminal shows."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xecgnet_jax.config import Config
from xecgnet_jax.terminal import printable, warn

#: A line of metrics.jsonl.
Record = dict[str, Any]
#: What `Config.best_by` may be → how it is called.
BEST_BY = {"micro_f1": "micro F1", "subset_accuracy": "subset accuracy", "macro_auroc": "macro AUROC"}


@dataclass(frozen=True)
class Progress:
    """Where a run is; kept in each checkpoint.

    Attributes:
      sums: of the metrics over the steps of the running epoch, by name.
      best_value: highest value so far of what the best epoch is chosen by, −1 before the first epoch.
      best_epoch: the epoch (from 1) that reached it.
      finished: no epoch is left, or `patience` of them passed without a better one.
      best_record: the line of metrics.jsonl of that epoch.
    """

    sums: dict[str, float] = field(default_factory=dict)
    best_value: float = -1.0
    best_epoch: int = 0
    finished: bool = False
    best_record: Record = field(default_factory=dict)

    def within_epoch(self, sums: Mapping[str, Any]) -> Progress:
        """Returns the progress in the middle of an epoch, with the sums of its metrics so far."""
        return dataclasses.replace(self, sums={name: float(value) for name, value in sums.items()})

    def after_epoch(self, record: Record, config: Config) -> Progress:
        """Returns the progress after an epoch with this line of metrics.jsonl."""
        value, epoch, after = value_of(record, config), record["epoch"], self
        if value > self.best_value:
            after = Progress(best_value=value, best_epoch=epoch, best_record=record)
        patience_lost = config.patience > 0 and epoch - after.best_epoch >= config.patience
        return dataclasses.replace(after, sums={}, finished=epoch >= config.epochs or patience_lost)


def value_of(record: Record, config: Config) -> float:
    """Returns what epochs are compared by; where it is undefined, 0."""
    return float(record[f"validation_{config.best_by}"] or 0.0)


def describe_best(record: Record, config: Config) -> str:
    """Says which epoch is the best, and what it reached."""
    reached = f"validation {BEST_BY[config.best_by]} {value_of(record, config):.3f}"
    return f"best epoch {record['epoch']} (checkpoint {record['step']}): {reached}"


class ProgressBar:
    """Tells the terminal where a run is; where it is no terminal, a line per epoch."""

    def __init__(self, name: str, step: int, per_epoch: int, total: int, f1: float | None, shown: bool) -> None:
        from tqdm import tqdm  # slow to import, and not needed to read a checkpoint

        self._name, self._f1 = printable(name), f1
        self._per_epoch, self._epochs = per_epoch, total // per_epoch
        self._lines = shown and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=step,
            disable=not shown or self._lines,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]{postfix}",
        )

    def show_step(self, step: int, loss: float) -> None:
        """Shows that `step` steps are made."""
        if self._bar.disable:
            return
        epoch = -(-step // self._per_epoch)
        self._bar.set_description(f"{self._name}  epoch {epoch}/{self._epochs}", refresh=False)
        self._bar.set_postfix({"validation micro F1": _format(self._f1), "loss": f"{loss:.4f}"}, refresh=False)
        self._bar.update(step - self._bar.n)

    def show_epoch(self, record: Record, name: str = "") -> None:
        """Shows that an epoch is done, of the run of that name where the bar is of several."""
        self._f1 = record["validation_micro_f1"]
        if self._lines:
            f1, exact = (_format(record[f"validation_{of}"]) for of in ("micro_f1", "subset_accuracy"))
            line = f"{name or self._name}  epoch {record['epoch']}/{self._epochs}  loss {record['loss']:.4f}  "
            line += f"validation micro F1 {f1}  subset accuracy {exact}  {record['seconds']:.0f} s"
            warn(line)

    def close(self) -> None:
        """Takes the bar off the terminal's line."""
        self._bar.close()


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
