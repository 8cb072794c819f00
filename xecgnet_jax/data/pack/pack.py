"""A pack: one memory-mapped array of all signals of a corpus, its index, and its audit."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.data.io.recording import hash_name, hash_patient, key_digest
from xecgnet_jax.data.labels import CPSC2018, Vocabulary
from xecgnet_jax.data.pack.audit import Audit, count_classes, rename
from xecgnet_jax.data.pack.quantized import to_millivolts
from xecgnet_jax.data.pack.storage import (
    AUDIT,
    FORMAT,
    INDEX,
    RECORDINGS,
    SAMPLES,
    damaged,
    is_known_state,
    keep_state,
    map_samples,
    read_checked,
    read_manifest,
    to_json,
)
from xecgnet_jax.data.signals import SignalSpec
from xecgnet_jax.errors import PackError, first_few

#: Samples (24 bytes each) that are read at once to be checked.
_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False)
class Pack:
    """A pack of R recordings with N samples altogether."""

    samples: np.ndarray  #: [N, 12] int16, memory-mapped, read-only; all recordings one after another
    offsets: np.ndarray  #: [R + 1] int64; recording i has the samples offsets[i] to offsets[i + 1]
    step: np.ndarray  #: [R, 12] float64, mV per integer step
    zero: np.ndarray  #: [R, 12] float64, the integer that stands for 0 mV, so mV = (samples − zero) · step
    moments: np.ndarray  #: [R, 2, 12] float64, mean and standard deviation of each recording's leads in mV
    labels: np.ndarray  #: [R, C] uint8, 0 or 1, columns as `classes`; those of CPSC2018 unless `relabel` changed them
    ids: tuple[str, ...]  #: names of the recordings; as corpora list them, which is sorted but for HDF5
    patients: tuple[str | None, ...]  #: patient of each recording, or None
    folds: np.ndarray  #: [R] int64, the corpus's own fold, -1 where it has none
    ages: np.ndarray  #: [R] float64, years, NaN where unknown
    sexes: tuple[str | None, ...]  #: "F", "M" or None
    codes: tuple[tuple[str, ...], ...]  #: diagnostic codes as the corpus writes them
    likelihoods: tuple[tuple[float, ...], ...]  #: of the codes in percent, where the corpus gives them, else ()
    classes: tuple[str, ...]  #: names of the C classes
    annotated: tuple[str, ...]  #: those that the corpus annotates; the others are unknown in it. (): all
    leads: tuple[str, ...]  #: names of the 12 leads
    signals: SignalSpec  #: rate in Hz, and filter
    kind: str  #: which corpus, as in `Corpus`
    packed: str  #: sha256 of signals, CPSC2018's labels, and ids; equal for packs with the same content
    fingerprint: str  #: the same, or with another vocabulary a sha256 of it and what decides the labels
    audit: Audit  #: what was refused, and what is odd about the rest
    hashed: str = ""  #: digest of the key of the hashes that stand for names, "" where names are as in the corpus
    plain: Pack | None = None  #: the pack before `hash_ids`: a user's files name its recordings, splits are drawn of it

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (signal [T, 12] float32 mV, labels [C] uint8) of recording i, as data loaders ask for it."""
        return self.signal(i), self.labels[range(len(self))[i]]

    @property
    def lengths(self) -> np.ndarray:
        """Number of samples of each recording, [R] int64."""
        return np.diff(self.offsets)

    def signal(self, i: int) -> np.ndarray:
        """Returns the signal of recording i, [T, 12] float32, mV."""
        row = range(len(self))[i]
        samples = self.samples[self.offsets[row] : self.offsets[row + 1]]
        return to_millivolts(samples, self.step[row], self.zero[row])

    def relabel(self, vocabulary: Vocabulary, min_likelihood: float = 0.0) -> Pack:
        """Returns the pack with the labels of a vocabulary, from codes that are likely enough; signals are shared.

        `min_likelihood` is in percent; a likelihood of 0 means unknown, and its code counts.

        Raises:
          PackError: the corpus annotates what is no class of the vocabulary, or a recording has a class that it does
            not annotate.
        """
        if unknown := [name for name in self.annotated if name not in vocabulary.classes]:
            raise PackError(
                f"the corpus annotates {first_few(unknown)}, which is no class of {vocabulary.name}; name some of "
                f"{first_few(vocabulary.classes, 9)} (--annotated, or the first line of labels.csv)"
            )
        codes = self.codes
        if min_likelihood:
            codes = tuple(
                tuple(code for code, likelihood in zip(own, given, strict=True) if not 0 < likelihood < min_likelihood)
                if given
                else own
                for own, given in zip(codes, self.likelihoods, strict=True)
            )
        fingerprint = self.packed
        if min_likelihood or vocabulary.digest() != CPSC2018.digest():
            fingerprint = hashlib.sha256(f"{fingerprint} {vocabulary.digest()} {min_likelihood}".encode()).hexdigest()
        labels = np.stack([vocabulary.label_vector(own) for own in codes])
        for at, name in enumerate(vocabulary.classes):
            if self.annotated and name not in self.annotated and labels[:, at].any():
                example = self.ids[int(np.argmax(labels[:, at]))]
                raise PackError(
                    f"{example} has {name}, which the corpus does not annotate; name it, or correct the label"
                )
        return replace(
            self,
            labels=labels,
            classes=vocabulary.classes,
            fingerprint=fingerprint,
            audit=count_classes(self.audit, self.ids, codes, vocabulary),
        )

    @property
    def columns(self) -> np.ndarray:
        """Columns of `labels` that the corpus annotates, ascending, int64."""
        return np.array([at for at, name in enumerate(self.classes) if not self.annotated or name in self.annotated])

    def annotate(self, classes: Iterable[str]) -> Pack:
        """Returns the pack of a corpus that annotates these classes only, whatever it says itself; relabel it next."""
        named = tuple(classes)
        packed = hashlib.sha256(f"{self.packed} {named}".encode()).hexdigest()
        return replace(self, annotated=named, packed=packed, fingerprint=packed)

    def hash_ids(self) -> Pack:
        """Returns the pack with keyed hashes in place of the names of recordings and patients, see `hash_name`."""
        names = dict(zip(self.ids, map(hash_name, self.ids), strict=True))
        packed = hashlib.sha256(f"{self.packed} {list(names.values())}".encode()).hexdigest()
        return replace(
            self,
            ids=tuple(names.values()),
            patients=tuple(who and hash_patient(who) for who in self.patients),
            packed=packed,
            fingerprint=packed,
            audit=rename(self.audit, names),
            hashed=key_digest(),
            plain=self,
        )

    def select(self, ids: Iterable[str]) -> np.ndarray:
        """Returns the rows of n recordings, [n] int64, in the order of `ids`.

        Raises:
          PackError: the pack has no recording of such an id.
        """
        rows = {name: row for row, name in enumerate(self.ids)}
        found = [(name, rows.get(name)) for name in ids]
        if unknown := [name for name, row in found if row is None]:
            raise PackError(f"the pack has no recording {first_few(unknown)} ({len(unknown)} in all)")
        return np.array([row for _, row in found], np.int64)


def open_pack(folder: Path) -> Pack:
    """Opens a pack. Signals are mapped; they are read only where their file has changed, see `check_samples`.

    Raises:
      PackError: there is no pack, it is damaged, or another version of this package made it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest["format"] != FORMAT:
        problem = "was made by another version of this package; delete the folder and make the pack anew"
        raise PackError(f"{folder}: {problem}")
    try:
        index = np.load(io.BytesIO(read_checked(folder, INDEX, manifest)), allow_pickle=False)
        texts = json.loads(read_checked(folder, RECORDINGS, manifest))
        rows: dict[str, Any] = {name: tuple(texts[name]) for name in ("ids", "patients", "sexes")}
        rows |= {name: index[name] for name in ("offsets", "step", "zero", "moments", "labels", "folds", "ages")}
        pack = Pack(
            samples=map_samples(folder, manifest),
            codes=tuple(tuple(codes) for codes in texts["codes"]),
            likelihoods=tuple(tuple(given) for given in texts["likelihoods"]),
            classes=tuple(manifest["classes"]),
            annotated=tuple(manifest.get("annotated", ())),
            leads=tuple(manifest["leads"]),
            signals=SignalSpec(manifest["rate"], tuple(manifest["filter"])),
            kind=manifest["kind"],
            packed=manifest["fingerprint"],
            fingerprint=manifest["fingerprint"],
            audit=Audit(**json.loads(read_checked(folder, AUDIT, manifest))),
            **rows,
        )
        check_samples(pack, folder, manifest)
        return pack
    except PackError:
        if read_manifest(folder) == manifest:
            raise
        return open_pack(folder)  # another process has replaced the pack meanwhile


def check_samples(pack: Pack, folder: Path, manifest: Mapping[str, Any] | None = None, *, always: bool = False) -> None:
    """Reads all samples of a pack and compares them with its checksum, once for each state of their file.

    The state is size and time of modification; that of a pack as it was made is known. `always`: whatever the state.
    The manifest is that of the folder.

    Raises:
      PackError: they are not as they were written.
    """
    manifest = manifest or read_manifest(folder)
    if not always and is_known_state(folder, manifest):
        return
    content = hashlib.sha256()
    for first in range(0, len(pack.samples), _AT_ONCE):
        content.update(np.ascontiguousarray(pack.samples[first : first + _AT_ONCE]).data)
    for part in (pack.step, pack.zero, pack.labels):
        content.update(np.ascontiguousarray(part).data)
    content.update(to_json(pack.ids))
    if pack.annotated:
        content.update(to_json(pack.annotated))
    if content.hexdigest() != pack.packed:
        raise damaged(folder, f"{SAMPLES} is not as it was written")
    keep_state(folder, manifest)
