"""A run's predictions for a part of a corpus: made once, kept in its working directory, read again."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from xecgnet_jax import __version__
from xecgnet_jax.config import to_dict
from xecgnet_jax.data.dataset import choose_split, split_fingerprint
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.splits import read_split
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.files import write_json, write_text
from xecgnet_jax.runs.load import Run
from xecgnet_jax.training.workdir import SPLIT

Part = Literal["auto", "train", "validation", "test", "all"]

PREDICTIONS = "predictions.csv"
#: What the predictions were made from; written after them.
MADE_FROM = "predictions.json"


@dataclass(frozen=True, eq=False)
class Scored:
    """The R recordings of a part, and what a run says of them.

    Attributes:
      run: the checkpoint.
      part: which part of the corpus.
      rows: [R] of the pack.
      ids: names of the recordings.
      labels: [R, C], 0 or 1.
      patients: of each recording, or None.
      probabilities: [R, C] float32.
      maps: of each recording, or None where they were not asked for or the predictions were there already.
      folder: where the predictions are kept.
      made_from: what decides them: checkpoint, weights, corpus, part.
      trained_on: how many of them have names of the run's training part.
    """

    run: Run
    part: str
    rows: np.ndarray
    ids: tuple[str, ...]
    labels: np.ndarray
    patients: tuple[str | None, ...]
    probabilities: np.ndarray
    maps: list[Maps] | None
    folder: Path
    made_from: dict[str, Any]
    trained_on: int


def score(
    run: Run,
    pack: Pack,
    *,
    corpus_name: str,
    part: Part = "auto",
    maps: bool = False,
    batch_size: int = 32,
    progress: bool = True,
) -> Scored:
    """Predicts a part of a corpus.

    Writes predictions.csv and predictions.json to WORKDIR/evaluation/CORPUS-PART, with the step behind it where the
    checkpoint was asked for by its step. Where they are there already, made from the same checkpoint and recordings,
    they are read; where they are of others, all that was made from those is removed.

    Args:
      run: the checkpoint.
      pack: the corpus.
      corpus_name: names the folder of the results.
      part: "auto" is the test part of the run's own corpus, all recordings of any other; the other parts but "all"
        exist for the run's own corpus only.
      maps: give the maps, too, where the predictions are made now; `maps_of` makes them of kept ones.
      batch_size: windows in a step.
      progress: show a progress bar.

    Raises:
      CheckpointError: other classes, a part that the corpus does not have, or one without recordings.
    """
    if pack.classes != run.classes:
        raise CheckpointError(
            f"{run.workdir}: its classes are {', '.join(run.classes)}; the corpus has {', '.join(pack.classes)}"
        )
    part, rows = _rows(run, pack, part)
    if not len(rows):
        raise CheckpointError(f"the {part} part of this corpus has no recording to score; give another --part")
    folder = run.workdir / "evaluation" / "-".join([corpus_name, part, *([str(run.step)] if run.named else [])])
    ids, labels = tuple(pack.ids[row] for row in rows), pack.labels[rows]
    made_from = {
        "step": run.step,
        "config": to_dict(run.config),
        "weights": _digest(run.variables),
        "trained_on": run.data,
        "fingerprint": pack.fingerprint,
        "part": part,
        "recordings": len(rows),
        "people": _people(pack, rows),
        "version": __version__,
    }
    probabilities = _kept(folder, made_from, run.classes)
    found = None
    if probabilities is None:
        probabilities, found = run.predict_rows(pack, rows, maps=maps, batch_size=batch_size, progress=progress)
        for old in (folder / MADE_FROM, *folder.glob("metrics*.json"), *folder.glob("report*.html")):
            old.unlink(missing_ok=True)  # all that is in the folder belongs together
        text = _csv(run, ids, probabilities, labels)
        write_text(folder / PREDICTIONS, text)
        write_json(folder / MADE_FROM, made_from | {"sha256": _sha256(text.encode())})
    return Scored(
        run=run,
        part=part,
        rows=rows,
        ids=ids,
        labels=labels,
        patients=tuple(pack.patients[row] for row in rows),
        probabilities=probabilities,
        maps=found,
        folder=folder,
        made_from=made_from,
        trained_on=_trained_on(run, ids),
    )


def maps_of(scored: Scored, pack: Pack, *, batch_size: int = 32, progress: bool = True) -> list[Maps]:
    """The maps of each recording; the network runs again where they are not at hand."""
    if scored.maps is not None:
        return scored.maps
    found = scored.run.predict_rows(pack, scored.rows, maps=True, batch_size=batch_size, progress=progress)
    return found.maps or []


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
    if run.config.data.unlabeled == "drop":
        rows = rows[pack.labels[rows].any(axis=1)]
    return part, rows


def _kept(folder: Path, made_from: dict[str, Any], classes: tuple[str, ...]) -> np.ndarray | None:
    """The probabilities that are there already, [R, C] float32."""
    try:
        content = (folder / PREDICTIONS).read_bytes()
        expected = made_from | {"sha256": _sha256(content)}
        if json.loads((folder / MADE_FROM).read_text(encoding="utf-8")) != expected:
            return None
    except (OSError, ValueError):
        return None  # missing or damaged: they are made again
    lines = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    return np.array([[line[f"probability {name}"] for name in classes] for line in lines], np.float32)


def _trained_on(run: Run, ids: tuple[str, ...]) -> int:
    split_file = run.workdir / SPLIT
    return len(set(ids) & set(read_split(split_file).train)) if split_file.exists() else 0


def _people(pack: Pack, rows: np.ndarray) -> str:
    """sha256 of what the pack's fingerprint leaves out: patients, ages, sexes, codes."""
    of_rows = [[pack.patients[row], str(pack.ages[row]), pack.sexes[row], list(pack.codes[row])] for row in rows]
    return _sha256(json.dumps(of_rows).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(variables: dict[str, Any]) -> str:
    """sha256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(variables):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _csv(run: Run, ids: tuple[str, ...], probabilities: np.ndarray, labels: np.ndarray) -> str:
    """id, one probability per class, label sets (classes separated by ;): predicted by each thresholds, true."""
    thresholds = run.all_thresholds()
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    names = ["predicted" if one.name == "0.5" else f"predicted {one.name}" for one in thresholds]
    lines.writerow(["id", *(f"probability {name}" for name in run.classes), *names, "true"])
    found = [apply_thresholds(probabilities, one.values) for one in thresholds]
    for row, name in enumerate(ids):
        sets = [
            ";".join(c for c, is_in in zip(run.classes, members[row], strict=True) if is_in)
            for members in (*found, labels)
        ]
        # Nine digits give a float32 back as it was.
        lines.writerow([name, *(f"{value:.9g}" for value in probabilities[row]), *sets])
    return text.getvalue()
