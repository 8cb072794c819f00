"""A pack and a config → the recordings of the training, validation and test part, and their standardisation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.batches import Standardisation, standardisation
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.splits import Split, check_split, fold_split, paper_split, read_split, stratified_split
from xecgnet_jax.errors import SplitError

#: Size of CPSC2018; the paper's split is defined for exactly its names.
_CPSC_SIZE = 6877


@dataclass(frozen=True, eq=False)
class Parts:
    """The recordings of a run.

    Attributes:
      pack: all recordings of the corpus.
      split: ids of the three parts.
      train, validation, test: rows of the pack.
      standardisation: per lead.
    """

    pack: Pack
    split: Split
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    standardisation: Standardisation

    def description(self) -> dict[str, Any]:
        """What tells these data from others: corpus kind, content, split."""
        return {
            "kind": self.pack.kind,
            "recordings": len(self.pack),
            "fingerprint": self.pack.fingerprint,
            "split": split_fingerprint(self.split),
        }


def split_fingerprint(split: Split) -> str:
    """sha256 of the three parts; the order of the training part counts, because batches follow it."""
    lines = [",".join(part) for part in (split.train, split.validation, split.test)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def make_parts(pack: Pack, config: DataConfig) -> Parts:
    """Splits a pack as the config says and standardises on the part that it names.

    Raises:
      SplitError: the corpus has no such split, a part is empty, or a patient is on two sides.
    """
    split = choose_split(pack, config)
    rows = {part: pack.select(getattr(split, part)) for part in ("train", "validation", "test")}
    if config.unlabelled == "drop":
        rows = {part: chosen[pack.labels[chosen].any(axis=1)] for part, chosen in rows.items()}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise SplitError(f"the {part} part has no recording; choose another split")
        if not pack.labels[rows[part]].any():
            raise SplitError(f"no recording of the {part} part has any of the classes; choose another split")
    return Parts(pack, split, **rows, standardisation=_standardisation(pack, rows["train"], config))


def choose_split(pack: Pack, config: DataConfig) -> Split:
    """The split that the config names; see `DataConfig.split` for what `auto` chooses."""
    kind = config.split
    if kind == "auto":
        kind = "paper" if _is_cpsc2018(pack) else "folds" if np.any(pack.folds >= 0) else "stratified"
    if kind == "folds":
        return fold_split(
            pack.ids,
            pack.folds,
            train=config.train_folds,
            validation=config.validation_folds,
            test=config.test_folds,
            patients=pack.patients,
        )
    if kind == "paper":
        split = paper_split(pack.ids)
    elif kind == "file":
        split = read_split(Path(config.split_file))
    else:
        split = stratified_split(pack.ids, pack.labels, pack.patients, seed=config.split_seed)
    check_split(split, pack.ids, pack.patients)
    return split


def _is_cpsc2018(pack: Pack) -> bool:
    return len(pack) == _CPSC_SIZE and pack.ids[0] == "A0001" and pack.ids[-1] == "A6877"


def _standardisation(pack: Pack, train: np.ndarray, config: DataConfig) -> Standardisation:
    if config.standardise_on == "none":
        leads = len(pack.leads)
        return Standardisation(np.zeros(leads, np.float32), np.ones(leads, np.float32))
    rows = train if config.standardise_on == "train" else np.arange(len(pack))
    return standardisation(pack.signal, rows)
