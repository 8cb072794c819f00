"""The progress bar: of one run, or of several that advance together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from xecgnet_jax.training.journal import Journal


class Bar:
    """Tells the terminal where the runs are; where it is no terminal, a line per epoch."""

    def __init__(self, runs: Sequence[Journal], per_epoch: int, total: int, *, progress: bool) -> None:
        unfinished = [run for run in runs if not run.standing.finished]
        self._per_epoch, self._epochs = per_epoch, total // per_epoch
        self._members = len(runs)
        self._f1 = {run.name: run.latest_f1 for run in unfinished}
        self._lines = progress and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=min(run.step for run in unfinished),
            disable=not progress or self._lines,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]{postfix}",
        )

    def step(self, step: int, active: Sequence[Journal]) -> None:
        """`step` steps are made by the active runs."""
        if self._bar.disable or not active:
            return
        losses = [float(run.losses.latest["loss"]) for run in active]
        together = f", {len(active)} of {self._members} runs" if self._members > 1 else ""
        self._bar.set_description(f"epoch {-(-step // self._per_epoch)}/{self._epochs}{together}", refresh=False)
        self._bar.set_postfix(
            {"validation micro F1": _range(list(self._f1.values())), "loss": f"{sum(losses) / len(losses):.4f}"},
            refresh=False,
        )
        self._bar.update(step - self._bar.n)

    def epoch(self, run: Journal, record: dict[str, Any]) -> None:
        """A run's epoch is done."""
        self._f1[run.name] = record["validation_micro_f1"]
        if self._lines:
            name = f"{run.name}  " if self._members > 1 else ""
            print(
                f"{name}epoch {record['epoch']}/{self._epochs}  loss {record['loss']:.4f}  validation micro F1 "
                f"{_figure(record['validation_micro_f1'])}  subset accuracy "
                f"{_figure(record['validation_subset_accuracy'])}  {record['seconds']:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        self._bar.close()


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(values: list[float | None]) -> str:
    """Of the runs, from the least to the greatest."""
    known = [value for value in values if value is not None]
    ends = sorted({_figure(min(known)), _figure(max(known))}) if known else [_figure(None)]
    return "–".join(ends)
