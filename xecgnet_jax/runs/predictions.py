"""A run's predictions for a part of a corpus: made once, kept in its working directory, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xecgnet_jax import __version__
from xecgnet_jax.config import to_dict
from xecgnet_jax.data.dataset import Dataset, choose_split, corpus_name, split_fingerprint
from xecgnet_jax.data.io.recording import hash_name, hash_patient
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.splits import Split, read_patients, read_people, read_split
from xecgnet_jax.errors import CheckpointError, first_few
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.files import check_writable, sha256
from xecgnet_jax.runs.load import Run
from xecgnet_jax.runs.predictions_csv import kept_fingerprint, read_probabilities, write_predictions

#: "auto" is the test part of the run's own corpus, all recordings of any other; "unseen" are all but those whose
#: patients or names are in the run's training or validation part.
Part = Literal["auto", "train", "validation", "test", "all", "unseen"]


@dataclass(frozen=True, eq=False)
class PartPredictions:
    """The R recordings of a part, and what a run says of them.

    Attributes:
      run, pack: the checkpoint and the corpus.
      corpus, part: names of the corpus and of the part.
      rows: [R] int64, of the pack.
      probabilities: [R, C] float32.
      maps: of each recording, or None where they were not asked for or the predictions were there already.
      folder: where the predictions are kept.
      made_from: what decides them, as JSON values: checkpoint, weights, corpus, part.
      trained_on: how many recordings have names (in PTB-XL also: patients) of the run's training part; None where it
        does not say which it had.
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
    trained_on: int | None

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the R recordings."""
        return tuple(self.pack.ids[row] for row in self.rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the A classes that the corpus annotates, all but rarely: they are scored."""
        return tuple(self.pack.classes[column] for column in self.pack.columns)

    @property
    def labels(self) -> np.ndarray:
        """True labels of these classes, [R, A] uint8, 0 or 1."""
        return self.pack.labels[self.rows][:, self.pack.columns]

    @property
    def scored(self) -> np.ndarray:
        """Probabilities of these classes, [R, A] float32."""
        return self.probabilities[:, self.pack.columns]

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
    output: str | Path | None = None,
) -> PartPredictions:
    """Returns what a run predicts for a part of a corpus.

    Writes predictions.csv and predictions.json to `output`/CORPUS-PART, with the step behind it where the checkpoint
    was asked for by its step, and with the beginning of the corpus's fingerprint where another corpus has that folder.
    Where they are there already, made from the same checkpoint and recordings, they are read; where they are of others
    of the same corpus, all that was made from those is removed.

    Args:
      run, corpus: the checkpoint and the recordings.
      name, batch_size, progress: as of `evaluate.evaluate`.
      part: see `Part`; train, validation and test exist for the run's own corpus only. The split is the run's.
      maps: give the maps, too, where the predictions are made now; `make_maps` makes them of kept ones.
      output: folder of results; None: `Run.results`.

    Raises:
      ConfigError: the folder cannot be written to; it is asked before anything is predicted.
      CheckpointError: signals of another rate or filter, a part that the corpus does not have, or an empty one.
    """
    pack = corpus.pack if isinstance(corpus, Dataset) else corpus
    name = corpus_name(pack) if name is None else name
    if pack.signals != run.signals:
        raise CheckpointError(
            f"{run.title}: the network sees {run.signals}, the recordings are {pack.signals}; pack them anew for it "
            "(from Python: open_corpus with the run's config.data)"
        )
    pack = pack.relabel(run.vocabulary, run.config.data.min_likelihood)
    if any(pack.codes) and not pack.labels.any():
        examples = first_few(list(dict.fromkeys(code for codes in pack.codes for code in codes)), 3)
        raise CheckpointError(
            f"no code of this corpus stands for a class of {run.title}: it has {examples}; a score would mean nothing. "
            "Correct the labels, or train with a vocabulary that has these codes"
        )
    split = kept_split(run)
    own, drawn = pack.fingerprint == run.data.get("fingerprint"), run.config.data.split != "file"
    if split is None and own and drawn:  # weights travel without the list of recordings
        split = choose_split(pack, run.config.data)
    if split is not None and run.data.get("hashed", pack.hashed) != pack.hashed:
        raise CheckpointError(
            f"{run.title}: was trained with --hash-ids; give it here, too, with the key of that time "
            "(XECGNET_PATIENT_KEY), or recordings that it knows would not be recognized"
        )
    known = made_with(run, split)
    if pack.hashed and "hashed" not in run.data:
        known = _hashed(known[0]), _hashed(known[1])
    trained, seen = (rows_of(people, pack) for people in known)
    part, rows = _select_part(run, pack, part, split, seen)
    results = run.results if output is None else Path(output)
    folder = _folder_of(results, name, [part, *([str(run.step)] if run.named else [])], pack.fingerprint)
    # What the pack's fingerprint leaves out.
    people = [[pack.patients[row], str(pack.ages[row]), pack.sexes[row], list(pack.codes[row])] for row in rows]
    made_from = {
        "step": run.step,
        "config": to_dict(run.config),
        "weights": run.digest(),
        "data_of_run": run.data,
        "fingerprint": pack.fingerprint,
        "part": part,
        "recordings": len(rows),
        "people": sha256(json.dumps(people).encode()),
        "version": __version__,
    }
    probabilities, new_maps = read_probabilities(folder, made_from, run.classes), None
    if probabilities is None:
        check_writable(folder, "output")
        probabilities, new_maps = run.predict_rows(pack, rows, maps=maps, batch_size=batch_size, progress=progress)
        write_predictions(folder, made_from, run, pack, rows, probabilities)
    trained_on = None if split is None else int(np.isin(rows, trained).sum())
    return PartPredictions(run, pack, name, part, rows, probabilities, new_maps, folder, made_from, trained_on)


def _folder_of(results: Path, name: str, rest: list[str], fingerprint: str) -> Path:
    """Returns where predictions are kept: by the corpus's name, and by its content where another has that name."""
    folder = results / "-".join([name, *rest])
    held = kept_fingerprint(folder)
    return folder if held in (None, fingerprint) else results / "-".join([name, fingerprint[:8], *rest])


def kept_split(run: Run) -> Split | None:
    """Returns the split that the run's folder keeps, None where it keeps none."""
    return read_split(run.split_file) if run.split_file.exists() else None


def knows_beginning(run: Run) -> bool:
    """Whether the run's folder says which recordings its first weights knew; those that are drawn know none."""
    return not run.config.init or run.initial_file.exists()


def made_with(run: Run, split: Split | None) -> tuple[dict[str, str], dict[str, str]]:
    """Returns recording → patient, of those of the run's training part, and of these and its validation part.

    Recordings that its first weights knew are in both. Patients have the same numbers in all of PTB-XL, whatever the
    rate of its files; elsewhere numbers say nothing, so the patient is "", as it is where it is unknown.
    """
    before = read_people(run.initial_file) if run.initial_file.exists() else {}
    if split is None:
        return before, before
    known = run.data.get("kind") == "ptbxl" and run.split_file.exists()
    patients = read_patients(run.split_file) if known else {}
    train, validation = ({name: patients.get(name, "") for name in part} for part in split[:2])
    return before | train, before | train | validation


def _hashed(people: Mapping[str, str]) -> dict[str, str]:
    """Returns hashes in place of recordings and patients, as a pack with hashed names has them."""
    return {hash_name(name): hash_patient(who) or "" for name, who in people.items()}


def rows_of(people: Mapping[str, str], pack: Pack) -> np.ndarray:
    """Returns the rows of a pack with names of these recordings, or with their patients, ascending."""
    patients = set(people.values()) - {""} if pack.kind == "ptbxl" else set()
    rows = zip(pack.ids, pack.patients, strict=True)
    return np.flatnonzero([name in people or patient in patients for name, patient in rows])


def _select_part(run: Run, pack: Pack, part: Part, split: Split | None, seen: np.ndarray) -> tuple[Part, np.ndarray]:
    """Returns the part that is meant, and its rows of the pack [R].

    `split` is what is in the run's folder, `seen` the rows of recordings or patients that the run was made with.
    """
    own = pack.fingerprint == run.data.get("fingerprint")
    if part == "unseen" and (split is None or not knows_beginning(run)):
        raise CheckpointError(
            f"--part unseen: {run.title} do not say which recordings they were made with (export --with-split); give "
            "--part all if you know that it was none of these"
        )
    if part == "auto":
        if not own and len(seen):
            raise CheckpointError(
                f"{len(seen)} recordings of this corpus have names or patients of the run's training or validation "
                "part, but the corpus is not the one it was trained on, or has changed since; give --part unseen to "
                "score the others, or --part all to score all of it nevertheless"
            )
        part = "test" if own else "all"
    if part in ("all", "unseen"):
        rows = np.setdiff1d(np.arange(len(pack)), seen if part == "unseen" else [])
    elif not own:
        raise CheckpointError(
            f"--part {part}: this corpus is not the one the run was trained on, so it has no such part; give --part all"
        )
    elif split is None:
        raise CheckpointError(
            f"--part {part}: {run.title} do not say which recordings are in it (export --with-split); give --part all"
        )
    elif split_fingerprint(split) != run.data["split"]:
        raise CheckpointError(f"{run.split_file} has changed since the training; restore it, or give --part all")
    else:
        rows = pack.select(getattr(split, part))
    if run.config.data.unlabeled == "drop":
        rows = rows[pack.labels[rows].any(axis=1)]
    if not len(rows):
        raise CheckpointError(f"the {part} part of this corpus has no recording to score; give another --part")
    return part, rows
