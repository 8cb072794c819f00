"""A run's predictions for a part of a corpus: made once, kept in its working directory, read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax import __version__
from xecgnet_jax.config import to_dict
from xecgnet_jax.data.dataset import Dataset, corpus_name
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.runs.load import Run
from xecgnet_jax.runs.parts import Part, count_trained_on, select_part
from xecgnet_jax.runs.predictions_csv import read_probabilities, sha256, write_predictions


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The R recordings of a part, and what a run says of them.

    Attributes:
      run: the checkpoint.
      pack: the corpus.
      corpus: its name.
      part: which part of it.
      rows: [R] int64, of the pack.
      probabilities: [R, C] float32.
      maps: of each recording, or None where they were not asked for or the predictions were there already.
      folder: where the predictions are kept.
      made_from: what decides them, as JSON values: checkpoint, weights, corpus, part.
      trained_on: how many recordings have names of the run's training part.
    """

    run: Run
    pack: Pack
    corpus: str
    part: Part
    rows: np.ndarray
    probabilities: np.ndarray
    maps: list[Maps] | None
    folder: Path
    made_from: dict[str, Any]
    trained_on: int

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the R recordings."""
        return tuple(self.pack.ids[row] for row in self.rows)

    @property
    def labels(self) -> np.ndarray:
        """True labels, [R, C] uint8, 0 or 1."""
        return self.pack.labels[self.rows]

    @property
    def patients(self) -> tuple[str | None, ...]:
        """Patients of the R recordings, None where unknown."""
        return tuple(self.pack.patients[row] for row in self.rows)

    def make_maps(self, *, batch_size: int = 32, progress: bool = True) -> list[Maps]:
        """Returns the maps of each recording; the network runs again where they are not at hand."""
        if self.maps is not None:
            return self.maps
        made = self.run.predict_rows(self.pack, self.rows, maps=True, batch_size=batch_size, progress=progress)
        return made.maps or []


def predict_part(
    run: Run,
    corpus: Dataset | Pack,
    *,
    name: str | None = None,
    part: Part = "auto",
    maps: bool = False,
    batch_size: int = 32,
    progress: bool = True,
) -> PartPredictions:
    """Returns what a run predicts for a part of a corpus.

    Writes predictions.csv and predictions.json to WORKDIR/evaluation/CORPUS-PART, with the step behind it where the
    checkpoint was asked for by its step. Where they are there already, made from the same checkpoint and recordings,
    they are read; where they are of others, all that was made from those is removed.

    Args:
      run: the checkpoint.
      corpus: the recordings.
      name: of the corpus, in the folder of the results; None: that of the corpus's folder.
      part: "auto" is the test part of the run's own corpus, all recordings of any other; the other parts but "all"
        exist for the run's own corpus only. The split is the run's.
      maps: give the maps, too, where the predictions are made now; `make_maps` makes them of kept ones.
      batch_size: windows in a step.
      progress: show a progress bar.

    Raises:
      CheckpointError: other classes, a part that the corpus does not have, or one without recordings.
    """
    pack = corpus.pack if isinstance(corpus, Dataset) else corpus
    name = corpus_name(pack) if name is None else name
    part, rows = select_part(run, pack, part)
    folder = run.workdir / "evaluation" / "-".join([name, part, *([str(run.step)] if run.named else [])])
    made_from = {
        "step": run.step,
        "config": to_dict(run.config),
        "weights": run.digest(),
        "trained_on": run.data,
        "fingerprint": pack.fingerprint,
        "part": part,
        "recordings": len(rows),
        "people": _people_digest(pack, rows),
        "version": __version__,
    }
    ids = tuple(pack.ids[row] for row in rows)
    probabilities, new_maps = read_probabilities(folder, made_from, run.classes), None
    if probabilities is None:
        probabilities, new_maps = run.predict_rows(pack, rows, maps=maps, batch_size=batch_size, progress=progress)
        write_predictions(folder, made_from, run, ids, probabilities, pack.labels[rows])
    return PartPredictions(
        run=run,
        pack=pack,
        corpus=name,
        part=part,
        rows=rows,
        probabilities=probabilities,
        maps=new_maps,
        folder=folder,
        made_from=made_from,
        trained_on=count_trained_on(run, ids),
    )


def _people_digest(pack: Pack, rows: np.ndarray) -> str:
    """Returns the sha256 of what the pack's fingerprint leaves out: patients, ages, sexes, codes."""
    people = [[pack.patients[row], str(pack.ages[row]), pack.sexes[row], list(pack.codes[row])] for row in rows]
    return sha256(json.dumps(people).encode())
