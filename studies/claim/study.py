"""The runs of the study: which there are, their settings and recordings, and what is kept of each."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tyro

from xecgnet_jax.config import Config, read_config_file
from xecgnet_jax.data.dataset import Dataset, make_dataset
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.normalization import mean_normalization
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.simulation.population import LABEL_SETS
from xecgnet_jax.errors import CorpusError, XECGNetError
from xecgnet_jax.files import write_bytes

Item = TypeVar("Item")

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RECORDINGS = HERE / "recordings.csv.gz"
#: Folds that take turns: rotation k tests fold k.
ROTATIONS = tuple(range(1, 10))
#: What a result holds the label sets of: both heads at the best epoch, each alone, both at the last epoch.
VARIANTS = ("best", "perception", "attention", "last")
#: The label sets of several classes that CPSC2018 has.
CPSC2018_SETS = frozenset("+".join(names) for names in LABEL_SETS if len(names) > 1)


@dataclass(frozen=True)
class Arm:
    """Runs with the settings of arms/NAME.toml over those of recipe.toml: one for each rotation and seed."""

    seeds: int = 1
    rotations: tuple[int, ...] = ROTATIONS
    #: Share of the patients to train on.
    share: float = 1.0


ARMS = {
    "zero": Arm(seeds=3),
    "paper": Arm(seeds=3),
    "match": Arm(seeds=3),
    "half": Arm(share=0.5),
    "tenth": Arm(),
    "one": Arm(),
    "true": Arm(),
    "plain": Arm(),
    "large-zero": Arm(),
    "large-match": Arm(),
    "wide-zero": Arm(rotations=(1, 5)),
    "wide-match": Arm(rotations=(1, 5)),
    "adam-zero": Arm(rotations=(1, 5)),
    "adam-match": Arm(rotations=(1, 5)),
}


@dataclass(frozen=True, order=True)
class StudyRun:
    """One training: an arm with a rotation and a seed."""

    rotation: int
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Of its working directory and its result."""
        return f"{self.arm}-r{self.rotation}-s{self.seed}"

    @property
    def config(self) -> Config:
        """The arm's settings with the folds of the rotation, and the seed."""
        return dataclasses.replace(rotate(arm_config(self.arm), self.rotation), seed=self.seed)

    @property
    def result(self) -> Path:
        """Where what is kept of it lies once it is finished."""
        return RESULTS / f"{self.name}.npz"


def planned() -> list[StudyRun]:
    """Returns all runs: rotation after rotation the arms of all rotations, the larger networks behind them."""
    runs = [
        StudyRun(rotation, name, seed)
        for name, arm in ARMS.items()
        for rotation in arm.rotations
        for seed in range(arm.seeds)
    ]
    late = ("large", "wide", "adam")
    names = list(ARMS)
    return sorted(runs, key=lambda run: (run.arm.startswith(late), run.rotation, names.index(run.arm), run.seed))


@cache
def arm_config(name: str) -> Config:
    """Returns the settings of an arm."""
    recipe = read_config_file(HERE / "recipe.toml", Config())
    return read_config_file(HERE / "arms" / f"{name}.toml", recipe)


def rotate(config: Config, rotation: int) -> Config:
    """Returns the config that tests fold `rotation`, validates on the one before it and trains on the other seven."""
    validation = rotation - 1 or ROTATIONS[-1]
    train = tuple(fold for fold in ROTATIONS if fold not in (rotation, validation))
    data = dataclasses.replace(
        config.data, split="folds", train_folds=train, validation_folds=(validation,), test_folds=(rotation,)
    )
    return dataclasses.replace(config, data=data)


def dataset_of(pack: Pack, config: Config, share: float = 1.0) -> Dataset:
    """Returns the recordings of a run; `share` of the patients to train on, drawn by the number of the tested fold."""
    dataset = make_dataset(pack, config.data)
    if share == 1:
        return dataset
    patients = np.array([pack.patients[row] or pack.ids[row] for row in dataset.train])
    everyone = np.unique(patients)
    rng = np.random.default_rng(config.data.test_folds[0])
    kept = dataset.train[np.isin(patients, rng.choice(everyone, round(share * len(everyone)), replace=False))]
    split = dataset.split._replace(train=tuple(pack.ids[row] for row in kept))
    return dataclasses.replace(dataset, split=split, train=kept, normalization=mean_normalization(pack.moments[kept]))


def ranks(probabilities: np.ndarray) -> np.ndarray:
    """Returns the ranks of [R, C] probabilities within each class from 0 on, equal ones alike, [R, C] uint16."""
    columns = [np.unique(column, return_inverse=True)[1] for column in probabilities.T]
    return np.stack(columns, axis=1).astype(np.uint16)


def is_ranked(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns which of R recordings have all their true classes above all others; both arguments [R, C], [R] bool."""
    true = np.asarray(labels, bool)
    return np.where(true, probabilities, np.inf).min(axis=1) > np.where(true, -np.inf, probabilities).max(axis=1)


def pack_sets(labels: np.ndarray) -> np.ndarray:
    """Returns label sets [.., C] as numbers of C bits, the first class the lowest, uint16."""
    return (np.asarray(labels, np.uint16) << np.arange(np.shape(labels)[-1], dtype=np.uint16)).sum(-1, dtype=np.uint16)


def unpack_sets(sets: np.ndarray, classes: int) -> np.ndarray:
    """Inverse of `pack_sets`, [.., C] bool."""
    return (np.asarray(sets)[..., None] >> np.arange(classes) & 1).astype(bool)


def read_result(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays of a finished run, and what is said about it.

    Of the R recordings of the tested fold, in the order of `read_recordings`: "sets" [4, R], the predicted label sets
    of `VARIANTS` as numbers; "ranked" [4, R] bool, see `is_ranked`; "ranks" [R, C] of both heads' probabilities.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("about")))


def share_of(items: Sequence[Item], share: str) -> Sequence[Item]:
    """Returns every Nth of the items from the Kth on, for a share "K/N"."""
    part, parts = map(int, share.split("/"))
    return items[part - 1 :: parts]


def run_script(main: Callable[[Any], None], options: type) -> None:
    """Runs a script of the study with the options of the command line; a user's error is one line."""
    try:
        main(tyro.cli(options))
    except XECGNetError as error:
        raise SystemExit(str(error)) from None


class Recordings(NamedTuple):
    """The R labeled recordings of the corpus, of all folds.

    Attributes:
      ids, patients: [R] str.
      folds: [R] int.
      labels: [R, C] bool.
    """

    ids: np.ndarray
    patients: np.ndarray
    folds: np.ndarray
    labels: np.ndarray


def read_recordings() -> Recordings:
    """Returns what `keep_recordings` kept."""
    with gzip.open(RECORDINGS, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    ids, patients, folds, sets = (np.array(column) for column in zip(*rows, strict=True))
    return Recordings(ids, patients, folds.astype(int), unpack_sets(sets.astype(np.uint16), len(CPSC2018.classes)))


def keep_recordings(pack: Pack) -> None:
    """Writes ids, patients, folds and label sets of a pack's labeled recordings, where they are not kept yet.

    Raises:
      CorpusError: those of another corpus are kept.
    """
    labeled = np.flatnonzero(pack.labels.any(axis=1))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "patient", "fold", "labels"])
    for row in labeled.tolist():
        writer.writerow([pack.ids[row], pack.patients[row], pack.folds[row], pack_sets(pack.labels[row])])
    content = text.getvalue().encode()
    if not RECORDINGS.exists():
        write_bytes(RECORDINGS, gzip.compress(content, mtime=0))
    elif gzip.decompress(RECORDINGS.read_bytes()) != content:
        raise CorpusError(
            f"{RECORDINGS} lists other recordings than this corpus has; begin anew without it and {RESULTS}"
        )
