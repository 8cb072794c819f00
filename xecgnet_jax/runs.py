"""Trained runs: a working directory or checkpoint → a model that predicts, and its scores on a corpus."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import Config, to_dict, window_length
from xecgnet_jax.data.batches import Standardisation, evaluation_windows
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.parts import choose_split, split_fingerprint
from xecgnet_jax.data.records import LEADS
from xecgnet_jax.data.splits import read_split
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.metrics import THRESHOLD, count, predicted, summarise
from xecgnet_jax.evaluation.predict import Predict, Predictions, make_predict, predict_recordings
from xecgnet_jax.evaluation.table import format_table
from xecgnet_jax.evaluation.thresholds import NAMES, ThresholdName, Thresholds, half
from xecgnet_jax.files import write_json, write_text
from xecgnet_jax.model import BIN, XECGNet
from xecgnet_jax.training.checkpoint import FOLDER, Checkpoints
from xecgnet_jax.training.state import build_model
from xecgnet_jax.training.workdir import SPLIT

Part = Literal["auto", "train", "validation", "test", "all"]


@dataclass(frozen=True, eq=False)
class Run:
    """A checkpoint, ready to predict.

    Attributes:
      workdir: of the training run.
      step: of the checkpoint.
      config: of the run.
      classes: names, in the order of the probabilities.
      standardisation: per lead, of the training part.
      model: the module.
      variables: its variables.
      data: what the run was trained on, as `Parts.description`.
      chosen: thresholds by name, see `thresholds`.
    """

    workdir: Path
    step: int
    config: Config
    classes: tuple[str, ...]
    standardisation: Standardisation
    model: XECGNet
    variables: dict[str, Any]
    data: dict[str, Any]
    chosen: dict[str, Thresholds] | None

    def predict(self, pack: Pack, rows: np.ndarray, *, batch_size: int = 32, progress: bool = False) -> np.ndarray:
        """Class probabilities [n, C] of whole recordings, with the window that the run was trained with."""
        signal = partial(_of_rows, pack.signal, rows)
        return self.predict_signals(signal, pack.lengths[rows], batch_size=batch_size, progress=progress).probabilities

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
        window, length = self.config.data.window, window_length(self.config.data)
        windows = len(evaluation_windows(lengths, window=window, length=length)[0])
        with tqdm(total=windows, unit="window", desc="predict", disable=None if progress else True) as bar:
            return predict_recordings(
                self._inference,
                self.variables,
                signal,
                lengths,
                window=window,
                length=length,
                standardisation=self.standardisation,
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
                "epoch, without looking at the validation part; use the best one"
            )
        if name not in self.chosen:
            raise CheckpointError(f"{self.workdir}: there are no thresholds {name!r}; possible: {', '.join(NAMES)}")
        return self.chosen[name]

    @cached_property
    def _inference(self) -> Predict:
        """Compiled once a run, however often it predicts."""
        return make_predict(self.model.apply)


def _of_rows(signal: Callable[[int], np.ndarray], rows: np.ndarray, position: int) -> np.ndarray:
    return signal(int(rows[position]))


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
        like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, BIN, len(LEADS))))
        return Run(
            workdir=workdir,
            step=step,
            config=description.config,
            classes=description.classes,
            standardisation=description.standardisation,
            model=model,
            variables=checkpoints.model(step, dict(like)),
            data=description.data,
            chosen=description.thresholds,
        )
    finally:
        checkpoints.close()


def evaluate_run(
    path: Path,
    pack: Pack,
    *,
    corpus_name: str,
    part: Part = "auto",
    batch_size: int = 32,
    progress: bool = True,
) -> str:
    """Scores a run on a corpus, and gives back what to print.

    Writes metrics.json and predictions.csv to WORKDIR/evaluation/CORPUS-PART. Where they are there already, made from
    the same checkpoint, recordings and settings, they are read, not made again.

    Args:
      path: working directory or checkpoint.
      pack: the corpus.
      corpus_name: names the folder of the results.
      part: "auto" is the test part of the run's own corpus, all recordings of any other; the other parts but "all"
        exist for the run's own corpus only.
      batch_size: windows in a step.
      progress: show a progress bar.

    Raises:
      CheckpointError: no such checkpoint, or a part of a corpus that the run was not trained on.
    """
    run = load_run(path)
    if pack.classes != run.classes:
        raise CheckpointError(
            f"{path}: its classes are {', '.join(run.classes)}; the corpus has {', '.join(pack.classes)}"
        )
    part, rows = _rows(run, pack, part)
    if not len(rows):
        raise CheckpointError(f"the {part} part of this corpus has no recording to score; give another --part")
    folder = run.workdir / "evaluation" / f"{corpus_name}-{part}"
    made_from = {
        "step": run.step,
        "config": to_dict(run.config),
        "weights": _digest(run.variables),
        "trained_on": run.data,
        "fingerprint": pack.fingerprint,
        "part": part,
        "recordings": len(rows),
        "threshold": THRESHOLD,
        "window": run.config.data.window,
    }
    metrics = _made_before(folder, made_from)
    if metrics is None:
        probabilities = run.predict(pack, rows, batch_size=batch_size, progress=progress)
        labels = pack.labels[rows]
        metrics = summarise(count(labels, predicted(probabilities)), run.classes) | {"made_from": made_from}
        ids = [pack.ids[row] for row in rows]
        (folder / "metrics.json").unlink(missing_ok=True)  # the two files belong together
        write_text(folder / "predictions.csv", _predictions_csv(run.classes, ids, probabilities, labels))
        write_json(folder / "metrics.json", metrics)
    title = f"{corpus_name}, {part} part: {len(rows)} recordings, checkpoint {run.step} of {run.workdir}"
    return format_table(metrics, title) + f"\n\nwritten: {folder}/metrics.json, predictions.csv"


def _rows(run: Run, pack: Pack, part: Part) -> tuple[Part, np.ndarray]:
    """The part that is meant, and its rows of the pack."""
    own = pack.fingerprint == run.data.get("fingerprint")
    split_file = run.workdir / SPLIT
    split = read_split(split_file) if split_file.exists() else choose_split(pack, run.config.data) if own else None
    if part == "auto":
        if not own and split is not None and (known := set(split.train) & set(pack.ids)):
            raise CheckpointError(
                f"{len(known)} recordings of this corpus have names of the run's training part, but the corpus is not "
                "the one it was trained on, or has changed since; give --part all to score all of it nevertheless"
            )
        part = "test" if own else "all"
    if part == "all":
        rows = np.arange(len(pack))
    else:
        if not own:
            raise CheckpointError(
                f"--part {part}: this corpus is not the one the run was trained on, so it has no such part; give "
                "--part all"
            )
        if split is None or split_fingerprint(split) != run.data["split"]:
            raise CheckpointError(f"{split_file} has changed since the training; restore it, or give --part all")
        rows = pack.select(getattr(split, part))
    if run.config.data.unlabelled == "drop":
        rows = rows[pack.labels[rows].any(axis=1)]
    return part, rows


def _made_before(folder: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    path = folder / "metrics.json"
    if not path.exists() or not (folder / "predictions.csv").exists():
        return None
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return metrics if isinstance(metrics, dict) and metrics.get("made_from") == made_from else None


def _digest(variables: dict[str, Any]) -> str:
    """sha256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(variables):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _predictions_csv(classes: tuple[str, ...], ids: list[str], probabilities: np.ndarray, labels: np.ndarray) -> str:
    """id, one probability per class, predicted and true classes (separated by ;)."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["id", *(f"probability {name}" for name in classes), "predicted", "true"])
    for name, row, found, true in zip(ids, probabilities, predicted(probabilities), labels, strict=True):
        sets = [";".join(c for c, is_in in zip(classes, member, strict=True) if is_in) for member in (found, true)]
        rows.writerow([name, *(f"{value:.6f}" for value in row), *sets])
    return text.getvalue()
