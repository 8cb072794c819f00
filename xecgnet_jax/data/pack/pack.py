"""A corpus → one memory-mapped array and its index, with an audit of what was refused and why.

docs/packs-and-splits.md describes the files of a pack.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from xecgnet_jax.data.corpora import Corpus, read_corpus
from xecgnet_jax.data.pack.audit import Audit
from xecgnet_jax.data.pack.build import FORMAT, OnBadRecording, state_of, write_pack
from xecgnet_jax.data.pack.quantized import signal_of
from xecgnet_jax.data.pack.storage import (
    AUDIT,
    INDEX,
    MANIFEST,
    RECORDINGS,
    checked_content,
    mapped_samples,
    read_manifest,
    replacement,
)
from xecgnet_jax.errors import PackError


@dataclass(frozen=True, eq=False)
class Pack:
    """R recordings with N samples altogether.

    Attributes:
      samples: [N, 12] int16, memory-mapped, read-only: all recordings one after another.
      offsets: [R + 1] int64; recording i has the samples offsets[i] to offsets[i + 1].
      step: [R, 12] float64, mV per count.
      zero: [R, 12] float64, the count of 0 mV: mV = (samples − zero) · step.
      labels: [R, C] uint8, 0 or 1, columns as `classes`.
      ids: names of the recordings, sorted.
      patients: patient of each recording, or None.
      folds: [R] int64, the corpus's own fold, -1 where it has none.
      ages: [R] float64, years, NaN where unknown.
      sexes: "F", "M" or None.
      codes: diagnostic codes as the corpus writes them.
      classes: names of the C classes.
      leads: names of the 12 leads.
      rate: Hz.
      kind: which corpus, as in `Corpus`.
      fingerprint: sha256 of signals, labels and ids; equal for packs with the same content.
      audit: what was refused, and what is odd about the rest.
    """

    samples: np.ndarray
    offsets: np.ndarray
    step: np.ndarray
    zero: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    patients: tuple[str | None, ...]
    folds: np.ndarray
    ages: np.ndarray
    sexes: tuple[str | None, ...]
    codes: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    leads: tuple[str, ...]
    rate: float
    kind: str
    fingerprint: str
    audit: Audit

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """[R] int64, samples of each recording."""
        return np.diff(self.offsets)

    def signal(self, i: int) -> np.ndarray:
        """[T, 12] float32 mV of recording i."""
        row = range(len(self))[i]
        samples = self.samples[self.offsets[row] : self.offsets[row + 1]]
        return signal_of(samples, self.step[row], self.zero[row])

    def select(self, ids: Iterable[str]) -> np.ndarray:
        """[n] int64, the rows of n recordings, in the order of `ids`.

        Raises:
          PackError: the pack has no recording of such an id.
        """
        wanted = list(ids)
        if unknown := [name for name in wanted if name not in self._rows]:
            more = ", …" if len(unknown) > 5 else ""
            raise PackError(f"the pack has no recording {', '.join(unknown[:5])}{more} ({len(unknown)} in all)")
        return np.array([self._rows[name] for name in wanted], np.int64)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}


def pack_of(
    corpus_folder: Path,
    pack_folder: Path,
    *,
    on_bad_recording: OnBadRecording = "fail",
    workers: int | None = None,
    progress: bool = True,
) -> Pack:
    """Opens the pack of a corpus; makes it first where it is missing or the corpus has changed.

    A corpus has changed when one of its files has another name, size or time of modification, or a
    table another content; its signals are not read to find out. A copy of a corpus has new times, so
    its pack is made anew.

    Args:
      corpus_folder: as `read_corpus` takes it.
      pack_folder: where the pack is or shall be; the other arguments are those of `build_pack`.

    Raises:
      CorpusError: the folder is missing, or no known corpus.
      PackError: as `build_pack` and `open_pack`.
    """
    corpus_folder, pack_folder = Path(corpus_folder), Path(pack_folder)
    if (pack_folder / MANIFEST).is_file():
        made_of = read_manifest(pack_folder)["state"]
        if made_of == state_of(corpus_folder, pack_folder):
            pack = open_pack(pack_folder)
            if on_bad_recording == "skip" or not pack.audit.refused:
                return pack
    corpus = read_corpus(corpus_folder)
    return build_pack(corpus, pack_folder, on_bad_recording=on_bad_recording, workers=workers, progress=progress)


def build_pack(
    corpus: Corpus,
    folder: Path,
    *,
    on_bad_recording: OnBadRecording = "fail",
    workers: int | None = None,
    progress: bool = True,
) -> Pack:
    """Reads every recording of a corpus and writes the pack.

    The pack appears in `folder` when it is complete, in place of one that was there. It does not
    depend on the number of workers.

    Args:
      corpus: the recordings.
      folder: where the pack shall be: a folder that is missing, empty, or a pack.
      on_bad_recording: "fail" makes no pack when a recording cannot be read; "skip" leaves it out and
        says so in the audit.
      workers: processes that read; None: one per CPU, fewer for few recordings.
      progress: shows a progress bar where stderr is a terminal.

    Raises:
      PackError: recordings cannot be read, the folder holds something else, or writing fails.
    """
    folder = Path(folder).resolve()
    try:
        state = state_of(corpus.root, folder)
        with replacement(folder) as new:
            write_pack(
                corpus,
                new,
                state=state,
                on_bad_recording=on_bad_recording,
                workers=workers,
                progress=progress,
            )
    except OSError as error:
        raise PackError(f"{folder}: the pack cannot be written: {error}") from error
    return open_pack(folder)


def open_pack(folder: Path) -> Pack:
    """Opens a pack. Signals are mapped, not read; everything else is checked against its sha256.

    Raises:
      PackError: there is no pack, it is damaged, or another version of this package made it.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest["format"] != FORMAT:
        raise PackError(
            f"{folder}: was made by another version of this package; delete the folder and make the pack anew"
        )
    index = np.load(io.BytesIO(checked_content(folder, INDEX, manifest)), allow_pickle=False)
    texts = json.loads(checked_content(folder, RECORDINGS, manifest))
    audit = json.loads(checked_content(folder, AUDIT, manifest))
    arrays = {name: index[name] for name in ("offsets", "step", "zero", "labels", "folds", "ages")}
    return Pack(
        samples=mapped_samples(folder, manifest["samples"]),
        ids=tuple(texts["ids"]),
        patients=tuple(texts["patients"]),
        sexes=tuple(texts["sexes"]),
        codes=tuple(tuple(codes) for codes in texts["codes"]),
        classes=tuple(manifest["classes"]),
        leads=tuple(manifest["leads"]),
        rate=manifest["rate"],
        kind=manifest["kind"],
        fingerprint=manifest["fingerprint"],
        audit=Audit(**audit),
        **arrays,
    )
