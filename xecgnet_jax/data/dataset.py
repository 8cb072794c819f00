"""A pack and a config → the recordings of the training, validation and test part, and their normalization."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.io.hdf5 import HDF5, UNSAID
from xecgnet_jax.data.labels import Vocabulary, read_vocabulary
from xecgnet_jax.data.normalization import Normalization, find_dominating, mean_normalization
from xecgnet_jax.data.pack import Pack, Share, build_share, pack_of
from xecgnet_jax.data.pack.duplicates import group_rows
from xecgnet_jax.data.signals import PLAIN, signal_spec
from xecgnet_jax.data.splits import Split, check_split, fold_split, paper_split, read_split, stratified_split
from xecgnet_jax.errors import ConfigError, CorpusError, SplitError, first_few
from xecgnet_jax.files import default_cache, open_regular

#: Size, first and last name of CPSC2018; the paper's split is defined for exactly its names.
_CPSC2018 = 6877, "A0001", "A6877"


#: Settings that decide what a dataset is.
_OF_DATASETS = (
    *("rate", "filter", "rate_of_files", "classes", "min_likelihood", "sample_weights", "normalize_on", "unlabeled"),
    *("split", "split_file", "train_folds", "validation_folds", "test_folds", "split_seed"),
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The recordings of a run."""

    pack: Pack  #: all recordings of the corpus
    split: Split  #: ids of the three parts
    train: np.ndarray  #: rows of the pack
    validation: np.ndarray  #: rows of the pack
    test: np.ndarray  #: rows of the pack
    normalization: Normalization  #: per lead
    vocabulary: Vocabulary  #: of the labels
    weights: np.ndarray  #: [R] float64, of all recordings of the pack: how much each counts in losses and choices
    config: DataConfig  #: that it was made with; windows and augmentation may be others later

    def check_made_for(self, config: DataConfig) -> None:
        """Raises ConfigError where a run of this config would have other signals, labels, parts or weights."""
        for name in _OF_DATASETS:
            made, asked = getattr(self.config, name), getattr(config, name)
            if made != asked:
                raise ConfigError(
                    f"the dataset was made with {name} {made!r}, the config of the run says {asked!r}; make the "
                    "dataset with the data settings of this config"
                )

    def description(self) -> dict[str, Any]:
        """What tells these data from others: corpus kind, content, split."""
        return {
            "kind": self.pack.kind,
            "recordings": len(self.pack),
            "fingerprint": self.pack.fingerprint,
            "split": split_fingerprint(self.split),
            **({} if np.all(self.weights == 1) else {"weights": hashlib.sha256(self.weights.tobytes()).hexdigest()}),
            **({"hashed": self.pack.hashed} if self.pack.hashed else {}),
        }

    def patients(self) -> dict[str, str]:
        """Returns recording → patient, of the recordings whose patient is known."""
        return {name: who for name, who in zip(self.pack.ids, self.pack.patients, strict=True) if who is not None}

    def summary(self) -> str:
        """Returns a line for the terminal: how many recordings the parts have, and of which kind of corpus."""
        train, validation, test = len(self.train), len(self.validation), len(self.test)
        lines = [f"{train} recordings to train on, {validation} to validate, {test} to test ({self.pack.kind})"]
        if unknown := self.pack.patients.count(None):
            lines.append(f"the patients of {unknown} recordings are unknown: a patient may be in several parts")
        if self.config.unlabeled == "drop" and (dropped := int((~self.pack.labels.any(axis=1)).sum())):
            lines.append(f"{dropped} recordings without any of the classes are left out")
        labels = self.pack.labels[self.train]
        if absent := [self.pack.classes[at] for at in self.pack.columns if not labels[:, at].any()]:
            lines.append(f"WARNING: no recording to train on has {first_few(absent)}: they are not learned")
        if copies := self.pack.audit.duplicates:
            part_of = {self.pack.ids[row]: part for part in Split._fields for row in getattr(self, part).tolist()}
            shared = [names for names in copies if len({part_of[name] for name in names if name in part_of}) > 1]
            lines += [f"WARNING: one ECG is in several parts: {first_few(names)}" for names in shared]
        return "\n".join(lines)


def open_corpus(
    folder: str | Path,
    config: DataConfig,
    *,
    cache: str | Path | None = None,
    annotated: Sequence[str] = (),
    hdf5: HDF5 = UNSAID,
    on_bad_recording: Literal["fail", "skip"] = "fail",
    workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """Returns a corpus as a dataset: its pack, split and normalized as the config says.

    Recordings that are not packed yet, or have changed since, are packed first.

    Args:
      folder: CPSC2018, a PhysioNet/CinC Challenge source, PTB-XL, WFDB records or files of hospitals with a labels.csv,
        or HDF5 files with an exams.csv.
      config: the split, the windows and the normalization.
      cache: where packs are kept; None: `default_cache`.
      annotated: classes that the corpus annotates, in place of those that labels.csv may name; none: these, or all.
      hdf5: data set, rate and units of HDF5 files.
      on_bad_recording, workers, progress: see `build_pack`.

    Raises:
      ConfigError: the vocabulary or the weights cannot be read.
      CorpusError: the folder is missing, or no known corpus.
      PackError: recordings cannot be read, or the pack cannot be written.
      SplitError: see `make_dataset`.
    """
    cache = default_cache() if cache is None else Path(cache)
    how: Any = {"hdf5": hdf5, "on_bad_recording": on_bad_recording, "workers": workers, "progress": progress}
    return make_dataset(pack_for(Path(folder), cache, config, annotated=annotated, **how), config)


def pack_for(
    corpus: Path, cache: Path, config: DataConfig, *, annotated: Sequence[str] = (), hdf5: HDF5 = UNSAID, **how: Any
) -> Pack:
    """Returns the pack of a corpus with signals as the config says; see `open_corpus`, `how` is of `pack_of`."""
    pack = pack_of(corpus, pack_folder(corpus, cache, config, hdf5), **_made_as(config, hdf5), **how)
    return pack.annotate(annotated) if annotated else pack


def share_for(
    corpus: Path, cache: Path, config: DataConfig, share: Share, *, hdf5: HDF5 = UNSAID, **how: Any
) -> tuple[int, dict[str, str]] | None:
    """Reads a share of a corpus for the pack that `pack_for` makes; see `build_share`, of which `how` is."""
    return build_share(corpus, pack_folder(corpus, cache, config, hdf5), share, **_made_as(config, hdf5), **how)


def _made_as(config: DataConfig, hdf5: HDF5) -> dict[str, Any]:
    """Returns what a pack is made as, for `pack_of` and `build_share`; equal settings are equal bytes of JSON."""
    rate = None if hdf5.rate is None else float(hdf5.rate)
    return {
        "signals": signal_spec(config),
        "rate_of_files": config.rate_of_files,
        "hdf5": hdf5._replace(rate=rate),
    }


def pack_folder(corpus: Path, cache: Path, config: DataConfig, hdf5: HDF5 = UNSAID) -> Path:
    """Returns where a pack is kept: by the name of the corpus's folder, and a digest of the whole path and its signals.

    The digest of signals as they are by default is that of the path alone.
    """
    made = _made_as(config, hdf5)
    signals = made["signals"], made["rate_of_files"]
    what = "" if signals == (PLAIN, 0) else f" {signals}"
    what += "" if hdf5 == UNSAID else f" {tuple(made['hdf5'])}"
    digest = hashlib.sha256(f"{corpus.resolve()}{what}".encode()).hexdigest()[:8]
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
    """Labels and splits a pack as the config says, and normalizes on the part that it names.

    Raises:
      ConfigError: the vocabulary or the weights cannot be read.
      CorpusError: one recording alone would set the normalization.
      SplitError: the corpus has no such split, a part is empty, or a patient is on two sides.
    """
    vocabulary = read_vocabulary(config.classes)
    pack = pack.relabel(vocabulary, config.min_likelihood)
    split = choose_split(pack, config)
    rows = {part: pack.select(ids) for part, ids in split._asdict().items()}
    if config.unlabeled == "drop":
        rows = {part: chosen[pack.labels[chosen].any(axis=1)] for part, chosen in rows.items()}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise SplitError(f"the {part} part has no recording; choose another split")
        if not pack.labels[rows[part]].any():
            codes = first_few(list(dict.fromkeys(code for row in rows[part] for code in pack.codes[row])), 3)
            raise SplitError(
                f"no recording of the {part} part has any class of {vocabulary.name}: their codes are "
                f"{codes or 'none'}; choose another split, or --classes with these codes"
            )
    if config.normalize_on == "none":
        leads = len(pack.leads)
        normalization = Normalization(np.zeros(leads, np.float32), np.ones(leads, np.float32))
    else:
        measured = rows["train"] if config.normalize_on == "train" else np.arange(len(pack))
        if (found := find_dominating(pack.moments[measured])) is not None:
            name, lead = pack.ids[measured[found[0]]], pack.leads[found[1]]
            mean, std = pack.moments[measured[found[0]], :, found[1]]
            raise CorpusError(
                f"the recording {name} alone would set the normalization: its lead {lead} is at {mean:.3g} mV with a "
                f"standard deviation of {std:.3g}, 100 times off the others; correct its gain or units, or remove it"
            )
        normalization = mean_normalization(pack.moments[measured])
    weights = read_weights(Path(config.sample_weights), pack) if config.sample_weights else np.ones(len(pack))
    train, validation, test = (rows[part] for part in Split._fields)
    return Dataset(pack, split, train, validation, test, normalization, vocabulary, weights, config)


def read_weights(path: Path, pack: Pack) -> np.ndarray:
    """Reads the weights of a pack's recordings from a CSV with the columns id and weight, [R] float64; 1 if not listed.

    Raises:
      ConfigError: naming the file; it cannot be read, names a recording twice or one that the pack lacks, or a weight
        is no number of 0 or more.
    """
    weights: dict[str, float] = {}
    ids = (pack.plain or pack).ids
    known = set(ids)
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"id", "weight"} <= set(rows.fieldnames or ()):
                raise ConfigError(f"{path}: the first line must name the columns id and weight")
            for row in rows:
                name, weight = row["id"], float(row["weight"] or "nan")
                if name in weights or name not in known or not 0 <= weight < math.inf:
                    problem = "is there twice" if name in weights else "is not in the corpus"
                    problem = problem if name in weights or name not in known else f"has the weight {row['weight']!r}"
                    raise ConfigError(f"{path}: line {rows.line_num}: the recording {name} {problem}; correct it")
                weights[name] = weight
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: cannot be read as a CSV of weights ({error}); correct it") from error
    return np.array([weights.get(name, 1.0) for name in ids])


def choose_split(pack: Pack, config: DataConfig) -> Split:
    """Returns the split that the config names; see `DataConfig.split` for what `auto` chooses.

    It does not depend on whether names are hashed: then it is drawn of the names in the corpus.
    """
    kind = config.split
    if pack.plain is not None:
        hashes = dict(zip(pack.plain.ids, pack.ids, strict=True))
        if kind != "file" or not set(itertools.chain(*read_split(Path(config.split_file)))) <= set(pack.ids):
            plain = replace(pack, ids=pack.plain.ids, patients=pack.plain.patients, audit=pack.plain.audit, plain=None)
            return Split(*(tuple(hashes[name] for name in part) for part in choose_split(plain, config)))
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
        split = stratified_split(pack.ids, pack.labels, people_of(pack), seed=config.split_seed)
    check_split(split, pack.ids, pack.patients)
    return split


def people_of(pack: Pack) -> list[str | None]:
    """Returns the patient of each recording, None where unknown; one for all recordings that are one ECG."""
    people = list(pack.patients)
    if not pack.audit.duplicates:
        return people
    rows = {name: row for row, name in enumerate(pack.ids)}
    first: dict[str, int] = {}
    pairs = [(first.setdefault(who, row), row) for row, who in enumerate(people) if who is not None]
    pairs += [(rows[names[0]], rows[name]) for names in pack.audit.duplicates for name in names]
    for members in group_rows(len(people), pairs):
        known = [people[row] for row in members if people[row] is not None]
        for row in members:
            people[row] = known[0] if known else f"of {pack.ids[members[0]]}"
    return people
