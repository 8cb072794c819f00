"""A pack and a config → the recordings of the training, validation and test part, and their normalization."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.normalization import Normalization, measure_normalization
from xecgnet_jax.data.pack import Pack, pack_of
from xecgnet_jax.data.splits import Split, check_split, fold_split, paper_split, read_split, stratified_split
from xecgnet_jax.errors import SplitError
from xecgnet_jax.files import default_cache

#: Size, first and last name of CPSC2018; the paper's split is defined for exactly its names.
_CPSC2018 = 6877, "A0001", "A6877"


@dataclass(frozen=True, eq=False)
class Dataset:
    """The recordings of a run."""

    pack: Pack  #: all recordings of the corpus
    split: Split  #: ids of the three parts
    train: np.ndarray  #: rows of the pack
    validation: np.ndarray  #: rows of the pack
    test: np.ndarray  #: rows of the pack
    normalization: Normalization  #: per lead

    def description(self) -> dict[str, Any]:
        """What tells these data from others: corpus kind, content, split."""
        return {
            "kind": self.pack.kind,
            "recordings": len(self.pack),
            "fingerprint": self.pack.fingerprint,
            "split": split_fingerprint(self.split),
        }

    def summary(self) -> str:
        """Returns a line for the terminal: how many recordings the parts have, and of which kind of corpus."""
        train, validation, test = len(self.train), len(self.validation), len(self.test)
        return f"{train} recordings to train on, {validation} to validate, {test} to test ({self.pack.kind})"


def open_corpus(
    folder: str | Path,
    config: DataConfig,
    *,
    cache: str | Path | None = None,
    on_bad_recording: Literal["fail", "skip"] = "fail",
    workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """Returns a corpus as a dataset: its pack, split and normalized as the config says.

    Recordings that are not packed yet, or have changed since, are packed first.

    Args:
      folder: CPSC2018, a PhysioNet/CinC Challenge source, PTB-XL, or WFDB records with a labels.csv.
      config: the split, the windows and the normalization.
      cache: where packs are kept; None: `default_cache`.
      on_bad_recording, workers, progress: see `build_pack`.

    Raises:
      CorpusError: the folder is missing, or no known corpus.
      PackError: recordings cannot be read, or the pack cannot be written.
      SplitError: see `make_dataset`.
    """
    place = pack_folder(Path(folder), default_cache() if cache is None else Path(cache))
    pack = pack_of(Path(folder), place, on_bad_recording=on_bad_recording, workers=workers, progress=progress)
    return make_dataset(pack, config)


def pack_folder(corpus: Path, cache: Path) -> Path:
    """Returns where the pack of a corpus is kept: by the name of its folder, and a digest of the whole path."""
    digest = hashlib.sha256(str(corpus.resolve()).encode()).hexdigest()[:8]
    return cache / "packs" / f"{corpus.resolve().name}-{digest}"


def corpus_name(pack: Pack) -> str:
    """Returns the name of the folder of a pack's corpus; that of the pack's own folder where it is kept elsewhere."""
    file = getattr(pack.samples, "filename", None)
    if file is None:
        return pack.kind
    folder = Path(file).parent.parent
    return folder.name.rpartition("-")[0] if folder.parent.name == "packs" else folder.name


def split_fingerprint(split: Split) -> str:
    """sha256 of the three parts; the order of the training part counts, because batches follow it."""
    return hashlib.sha256("\n".join(map(",".join, split)).encode()).hexdigest()


def make_dataset(pack: Pack, config: DataConfig) -> Dataset:
    """Splits a pack as the config says and normalizes on the part that it names.

    Raises:
      SplitError: the corpus has no such split, a part is empty, or a patient is on two sides.
    """
    split = choose_split(pack, config)
    rows = {part: pack.select(ids) for part, ids in split._asdict().items()}
    if config.unlabeled == "drop":
        rows = {part: chosen[pack.labels[chosen].any(axis=1)] for part, chosen in rows.items()}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise SplitError(f"the {part} part has no recording; choose another split")
        if not pack.labels[rows[part]].any():
            raise SplitError(f"no recording of the {part} part has any of the classes; choose another split")
    if config.normalize_on == "none":
        leads = len(pack.leads)
        normalization = Normalization(np.zeros(leads, np.float32), np.ones(leads, np.float32))
    else:
        measured = rows["train"] if config.normalize_on == "train" else np.arange(len(pack))
        normalization = measure_normalization(pack.signal, measured)
    return Dataset(pack, split, **rows, normalization=normalization)


def choose_split(pack: Pack, config: DataConfig) -> Split:
    """The split that the config names; see `DataConfig.split` for what `auto` chooses."""
    kind = config.split
    if kind == "auto":
        is_cpsc2018 = (len(pack), pack.ids[0], pack.ids[-1]) == _CPSC2018
        kind = "paper" if is_cpsc2018 else "folds" if np.any(pack.folds >= 0) else "stratified"
    if kind == "folds":
        parts = {part: getattr(config, f"{part}_folds") for part in Split._fields}
        return fold_split(pack.ids, pack.folds, patients=pack.patients, **parts)
    if kind == "paper":
        split = paper_split(pack.ids)
    elif kind == "file":
        split = read_split(Path(config.split_file))
    else:
        split = stratified_split(pack.ids, pack.labels, pack.patients, seed=config.split_seed)
    check_split(split, pack.ids, pack.patients)
    return split
