"""A corpus → the files of its pack, and how to tell that the corpus has changed since."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from xecgnet_jax.data.corpora import Corpus, Entry
from xecgnet_jax.data.labels import CLASSES, SINUS_RHYTHM, VOCABULARY, code_counts, label_vector
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.pack.audit import Audit, Findings, audit_of
from xecgnet_jax.data.pack.packed_recording import Reading, readings
from xecgnet_jax.data.pack.storage import AUDIT, INDEX, RECORDINGS, SAMPLES, samples_file, to_json, write_sealed
from xecgnet_jax.errors import CorpusError, PackError, RecordError

#: Raise it whenever the same corpus would give another pack, so that old packs are made anew.
FORMAT: int = 1

#: Causes of refusals that an error message gives.
CAUSES_SHOWN: int = 3

#: What to do about a recording that cannot be read.
OnBadRecording = Literal["fail", "skip"]


@dataclass
class _Rows:
    """What is gathered of the recordings while their samples go to disk."""

    entries: list[Entry] = field(default_factory=list)
    ages: list[float | None] = field(default_factory=list)
    sexes: list[str | None] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    steps: list[np.ndarray] = field(default_factory=list)
    zeros: list[np.ndarray] = field(default_factory=list)
    findings: dict[str, Findings] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, entry: Entry, reading: Reading) -> None:
        self.entries.append(entry)
        self.ages.append(reading.age if entry.age is None else entry.age)
        self.sexes.append(reading.sex if entry.sex is None else entry.sex)
        self.lengths.append(len(reading.counts.samples))
        self.steps.append(reading.counts.step)
        self.zeros.append(reading.counts.zero)
        self.findings[entry.id] = reading.findings

    def index(self) -> dict[str, np.ndarray]:
        """The arrays of a `Pack`, without its samples."""
        return {
            "offsets": np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)]),
            "step": np.stack(self.steps),
            "zero": np.stack(self.zeros),
            "labels": np.stack([label_vector(entry.codes) for entry in self.entries]),
            "folds": np.array([-1 if entry.fold is None else entry.fold for entry in self.entries], np.int64),
            "ages": np.array([np.nan if age is None else age for age in self.ages], np.float64),
        }

    def texts(self) -> dict[str, list]:
        """The tuples of a `Pack`."""
        return {
            "ids": [entry.id for entry in self.entries],
            "patients": [entry.patient for entry in self.entries],
            "sexes": self.sexes,
            "codes": [entry.codes for entry in self.entries],
        }

    def audit(self, labels: np.ndarray) -> Audit:
        classes, unmapped = code_counts(entry.codes for entry in self.entries)
        return audit_of(self.findings, self.refused, labels, classes, unmapped)


def write_pack(
    corpus: Corpus,
    folder: Path,
    *,
    state: str,
    on_bad_recording: OnBadRecording,
    workers: int | None,
    progress: bool,
) -> None:
    """Writes the files of a pack into an empty folder; `build_pack` says what the arguments are.

    Args:
      state: of the corpus, as `state_of` gives it.

    Raises:
      PackError: recordings cannot be read.
    """
    skip = on_bad_recording == "skip"
    rows = _Rows()
    content = hashlib.sha256()
    with closing(_progress(corpus, workers, progress)) as read, samples_file(folder / SAMPLES) as append:
        for entry, reading in read:
            if isinstance(reading, RecordError):
                rows.refused[entry.id] = str(reading)
            elif skip or not rows.refused:
                append(reading.counts.samples)
                content.update(reading.counts.samples.data)
                rows.add(entry, reading)
    if rows.refused and not (skip and rows.entries):
        raise PackError(_refusal(corpus, rows.refused))
    index, texts = rows.index(), rows.texts()
    for name in ("step", "zero", "labels"):
        content.update(index[name].data)
    content.update(to_json(texts["ids"]))
    manifest = {
        "format": FORMAT,
        "kind": corpus.kind,
        "rate": RATE,
        "leads": LEADS,
        "classes": CLASSES,
        "recordings": len(rows.entries),
        "samples": sum(rows.lengths),
        "fingerprint": content.hexdigest(),
        "state": state,
    }
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **index)
    audit = to_json(asdict(rows.audit(index["labels"])), indent=1)
    write_sealed(folder, {INDEX: arrays.getvalue(), RECORDINGS: to_json(texts), AUDIT: audit}, manifest)


def state_of(corpus_folder: Path, pack_folder: Path) -> str:
    """sha256 of all that decides what a pack will hold, without reading signals.

    That is the name, size and time of modification of each file of the corpus, the content of its
    tables, the vocabulary, and the version of the pack's form. Where the corpus lies does not count.

    Args:
      corpus_folder: folder of the corpus.
      pack_folder: does not count, should it lie in the corpus.

    Raises:
      CorpusError: the folder is missing, or cannot be listed.
    """
    state = hashlib.sha256(to_json([FORMAT, RATE, LEADS, CLASSES, SINUS_RHYTHM, sorted(VOCABULARY.items())]))
    try:
        for table in sorted(corpus_folder.glob("*.csv")):
            state.update(table.read_bytes())
        state.update(to_json(sorted(_files_of(corpus_folder, pack_folder.resolve()))))
    except OSError as error:
        raise CorpusError(f"{corpus_folder}: cannot be listed: {error}. Check the path.") from error
    return state.hexdigest()


def _files_of(corpus_folder: Path, pack_folder: Path) -> Iterator[tuple[str, int, int]]:
    """(path in the corpus, bytes, nanoseconds of the last change) of each file, but for the pack's own."""
    unfinished = f".{pack_folder.name}."
    seen: set[Path] = set()
    ahead = [(corpus_folder, "")]
    while ahead:
        folder, inside = ahead.pop()
        real = folder.resolve()
        is_own = real == pack_folder or (real.parent == pack_folder.parent and real.name.startswith(unfinished))
        if is_own or real in seen:  # a link to a folder above it would lead round in circles
            continue
        seen.add(real)
        with os.scandir(folder) as children:  # for 40,000 files a few times faster than `Path.stat`
            for child in children:
                if child.is_dir():
                    ahead.append((Path(child), f"{inside}{child.name}/"))
                elif child.is_file():
                    found = child.stat()
                    yield inside + child.name, found.st_size, found.st_mtime_ns


def _progress(corpus: Corpus, workers: int | None, progress: bool) -> Generator[tuple[Entry, Reading | RecordError]]:
    """Each recording of the corpus and what reading it gave, with a progress bar."""
    bar = tqdm(corpus.entries, f"packing {corpus.root}", unit=" recordings", disable=None if progress else True)
    with closing(readings([entry.path for entry in corpus.entries], workers)) as read, bar:
        yield from zip(bar, read, strict=True)


def _refusal(corpus: Corpus, refused: dict[str, str]) -> str:
    causes = "; ".join(list(refused.values())[:CAUSES_SHOWN])
    more = f"; and {len(refused) - CAUSES_SHOWN} more" if len(refused) > CAUSES_SHOWN else ""
    return (
        f"{corpus.root}: {len(refused)} of {len(corpus.entries)} recordings cannot be read: {causes}{more}. "
        'Mend or remove them, or leave them out (--on-bad-recording skip, from Python on_bad_recording="skip").'
    )
