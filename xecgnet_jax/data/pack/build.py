"""A corpus → its pack, made where it is missing or the corpus has changed.

docs/packs-and-splits.md describes the files of a pack.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from tqdm import tqdm

from xecgnet_jax.data.corpora import Corpus, Entry, read_corpus
from xecgnet_jax.data.io.formats import format_of, read_hospital
from xecgnet_jax.data.io.hdf5 import HDF5, UNSAID, read_rows
from xecgnet_jax.data.io.recording import Recording, check_signal, prepare_recording
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.io.wfdb_header import shorten
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import signal_moments
from xecgnet_jax.data.pack import storage
from xecgnet_jax.data.pack.audit import WRONG_UNITS, SignalProblems, find_problems, make_audit, typical_size
from xecgnet_jax.data.pack.duplicates import find_duplicates
from xecgnet_jax.data.pack.pack import Pack, open_pack
from xecgnet_jax.data.pack.quantized import quantize, to_millivolts
from xecgnet_jax.data.parallel import map_in_processes, workers_for
from xecgnet_jax.data.signals import PLAIN, SignalSpec, filter_signal
from xecgnet_jax.errors import CorpusError, PackError, RecordError
from xecgnet_jax.files import irregular, open_regular

#: Causes of refusals that an error message gives.
CAUSES_SHOWN: int = 3

#: What to do about a recording that cannot be read.
OnBadRecording = Literal["fail", "skip"]


class PackedRecording(NamedTuple):
    """One recording's row in the index of a pack, as far as its own file gives it; the samples are kept apart."""

    length: int  #: number of samples
    step: np.ndarray  #: [12] float64, as in `QuantizedSignal`
    zero: np.ndarray  #: [12] float64, likewise
    moments: np.ndarray  #: [2, 12] float64, as `signal_moments` gives them for the packed signal
    problems: SignalProblems  #: what is odd about the signal
    age: float | None  #: years; None where the recording does not say
    sex: str | None  #: "F" or "M", likewise
    patient: str | None  #: keyed hash of the patient's id in the file, likewise


#: The samples [T, 12] int16 of a recording and its row in the index, or why it cannot be read.
ReadResult: TypeAlias = tuple[np.ndarray, PackedRecording] | RecordError
#: A recording of a corpus, and this.
ReadEntry: TypeAlias = tuple[Entry, ReadResult]


def pack_of(
    corpus_folder: Path,
    pack_folder: Path,
    *,
    signals: SignalSpec = PLAIN,
    rate_of_files: int = 0,
    hdf5: HDF5 = UNSAID,
    on_bad_recording: OnBadRecording = "fail",
    workers: int | None = None,
    progress: bool = True,
) -> Pack:
    """Opens the pack of a corpus; makes it first where it is missing or the corpus has changed.

    A corpus has changed when one of its files has another name, size or time of modification, or a table another
    content; its signals are not read to find out. A copy of a corpus has new times, so its pack is made anew. The
    arguments are those of `build_pack`, and `rate_of_files` and `hdf5` those of `read_corpus`.

    Raises:
      CorpusError: the folder is missing, or no known corpus.
      PackError: as `build_pack` and `open_pack`.
    """
    corpus_folder, pack_folder = Path(corpus_folder), Path(pack_folder)
    is_packed = (pack_folder / storage.MANIFEST).is_file()
    if is_packed and storage.read_manifest(pack_folder)["state"] == corpus_state(
        corpus_folder, pack_folder, signals, rate_of_files, hdf5
    ):
        pack = open_pack(pack_folder)
        if on_bad_recording == "skip" or not pack.audit.refused:
            return pack
    return build_pack(
        read_corpus(corpus_folder, rate_of_files=rate_of_files, skip_lost=on_bad_recording == "skip", hdf5=hdf5),
        pack_folder,
        signals=signals,
        on_bad_recording=on_bad_recording,
        workers=workers,
        progress=progress,
    )


def build_pack(
    corpus: Corpus,
    folder: Path,
    *,
    signals: SignalSpec = PLAIN,
    on_bad_recording: OnBadRecording = "fail",
    workers: int | None = None,
    progress: bool = True,
) -> Pack:
    """Reads every recording of a corpus and writes the pack.

    It appears when it is complete, in place of one that was there, and does not depend on the number of workers.

    Args:
      folder: where the pack shall be: a folder that is missing, empty, or a pack.
      signals: their rate and filter.
      on_bad_recording: "fail" makes no pack when a recording cannot be read; "skip" leaves it out and says so in the
        audit.
      workers: processes that read; None: one per CPU, fewer for few recordings.
      progress: shows a progress bar where stderr is a terminal.

    Raises:
      PackError: recordings cannot be read, the folder holds something else, or writing fails.
    """
    folder = Path(folder).resolve()
    try:
        state = corpus_state(corpus.root, folder, signals, corpus.rate_of_files, corpus.hdf5)
        _check_space(corpus, folder, signals)
        with (
            storage.new_generation(folder) as new,
            closing(_read_entries(corpus, signals, workers, progress)) as entries,
        ):
            _write_pack(corpus, new, state, entries, signals, skip_bad=on_bad_recording == "skip")
    except OSError as error:
        raise PackError(f"{folder}: the pack cannot be written: {error}") from error
    return open_pack(folder)


def read_for_pack(path: Path, signals: SignalSpec) -> tuple[np.ndarray, PackedRecording] | RecordError:
    """Reads one recording: samples [T, 12] int16 and its row. An error is returned, so that the others go on."""
    try:
        kind = None if path.suffix == ".hea" else format_of(path)
        recording = read_record(path, rate=signals.rate) if kind is None else read_hospital(path, kind)
    except RecordError as error:
        return error
    except OSError as error:
        return RecordError(f"{path}: cannot be read ({error.strerror or error}). Check the file.")
    return _packed(path, recording, signals)


def read_together(task: tuple[Path, list[Entry]], signals: SignalSpec, hdf5: HDF5) -> list[ReadResult]:
    """Reads recordings of one file that are best read together, or the one that a file holds."""
    path, entries = task
    rows = [entry.row for entry in entries if entry.row is not None]
    if not rows:
        return [read_for_pack(path, signals)]
    found = read_rows(path, hdf5, rows, [entry.id for entry in entries])
    return [one if isinstance(one, RecordError) else _packed(path, one, signals) for one in found]


def _packed(path: Path, recording: Recording, signals: SignalSpec) -> ReadResult:
    """Returns what a pack keeps of a recording, or why it is no ECG that a run could be trained with."""
    try:
        check_signal(path, recording)
        signal = prepare_recording(path, recording, signals._replace(filter=()))
    except RecordError as error:
        return error
    if (size := typical_size(signal, signals.rate)) > WRONG_UNITS:
        problem = f"leads have {size:.3g} mV from peak to peak, an ECG has 0.5 to 3"
        return RecordError(f"{path}: {problem}. Correct the gain or units in its header.")
    marked = next((warning.text for warning in recording.warnings if warning.kind == "marked"), None)
    problems = find_problems(signal, signals.rate)._replace(marked=marked)
    filtered = np.ascontiguousarray(filter_signal(signal, signals), np.float32)
    samples, step, zero = quantize(filtered, None if signals.filter else recording.resolution)
    moments = signal_moments(to_millivolts(samples, step, zero))
    person = (recording.age, recording.sex, recording.patient)
    return samples, PackedRecording(len(samples), step, zero, moments, problems, *person)


def _read_entries(corpus: Corpus, signals: SignalSpec, workers: int | None, progress: bool) -> Generator[ReadEntry]:
    """Reads each recording of the corpus, with a progress bar."""
    if workers is None:
        workers = workers_for(len(corpus.entries))
    if workers < 1:
        raise PackError(f"recordings cannot be read by {workers} workers; ask for 1 or more")
    bar = tqdm(corpus.entries, f"packing {corpus.root}", unit=" recordings", disable=None if progress else True)
    tasks = list(_tasks(corpus))
    read = partial(read_together, signals=signals, hdf5=corpus.hdf5)
    try:
        with closing(map_in_processes(read, tasks, workers)) as results, bar:
            yield from zip(bar, chain.from_iterable(results), strict=True)
    except BrokenProcessPool as error:
        problem = "a process that reads recordings was ended from outside, perhaps because memory ran out"
        raise PackError(f"{problem}; try again with fewer workers") from error


def _tasks(corpus: Corpus) -> Iterator[tuple[Path, list[Entry]]]:
    """Yields the recordings of a corpus, those of one block of a file together."""
    for (path, _), group in groupby(corpus.entries, lambda entry: (entry.path, (entry.row or 0) // corpus.together)):
        yield path, list(group)


def _check_space(corpus: Corpus, folder: Path, signals: SignalSpec) -> None:
    """Refuses a pack for which the disk has no room, where its size is known before anything is read."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    needed = corpus.samples * len(LEADS) * 2 * signals.rate / (corpus.hdf5.rate or signals.rate)
    if needed > (free := shutil.disk_usage(there).free):
        problem = f"the pack takes up to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise PackError(f"{folder}: {problem}; make room, or name another place (--cache)")


def _write_pack(
    corpus: Corpus, folder: Path, state: str, read: Iterable[ReadEntry], signals: SignalSpec, *, skip_bad: bool
) -> None:
    """Writes the files of a pack into an empty folder."""
    packed: list[tuple[Entry, PackedRecording]] = []
    refused = dict(corpus.lost)
    content = hashlib.sha256()
    with storage.samples_writer(folder / storage.SAMPLES) as append:
        for entry, result in read:
            if isinstance(result, RecordError):
                refused[entry.id] = str(result)
            elif skip_bad or not refused:
                samples, row = result
                append(samples)
                content.update(samples.data)
                packed.append((entry, row))
    if refused and not (skip_bad and packed):
        causes = "; ".join(list(refused.values())[:CAUSES_SHOWN])
        more = f"; and {len(refused) - CAUSES_SHOWN} more" if len(refused) > CAUSES_SHOWN else ""
        raise PackError(
            f"{corpus.root}: {len(refused)} of {len(corpus.entries) + len(corpus.lost)} recordings cannot be read: "
            f"{causes}{more}. Repair "
            'or remove them, or leave them out (--on-bad-recording skip, from Python on_bad_recording="skip").'
        )
    ages = [row.age if entry.age is None else entry.age for entry, row in packed]
    index = {
        "offsets": np.cumsum([0, *(row.length for _, row in packed)], dtype=np.int64),
        "step": np.stack([row.step for _, row in packed]),
        "zero": np.stack([row.zero for _, row in packed]),
        "moments": np.stack([row.moments for _, row in packed]),
        "labels": np.stack([CPSC2018.label_vector(entry.codes) for entry, _ in packed]),
        "folds": np.array([-1 if entry.fold is None else entry.fold for entry, _ in packed], np.int64),
        "ages": np.array([np.nan if age is None else age for age in ages], np.float64),
    }
    texts = {
        "ids": [entry.id for entry, _ in packed],
        "patients": [row.patient if entry.patient is None else entry.patient for entry, row in packed],
        "sexes": [row.sex if entry.sex is None else entry.sex for entry, row in packed],
        "codes": [entry.codes for entry, _ in packed],
        "likelihoods": [entry.likelihoods for entry, _ in packed],
    }
    for name in ("step", "zero", "labels"):
        content.update(index[name].data)
    content.update(storage.to_json(texts["ids"]))
    if corpus.annotated:
        content.update(storage.to_json(corpus.annotated))
    manifest = {
        "format": storage.FORMAT,
        "kind": corpus.kind,
        "rate": signals.rate,
        "filter": signals.filter,
        "leads": LEADS,
        "classes": CPSC2018.classes,
        "annotated": corpus.annotated,
        "recordings": len(packed),
        "samples": int(index["offsets"][-1]),
        "fingerprint": content.hexdigest(),
        "state": state,
    }
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **index)
    counts = np.load(folder / storage.SAMPLES, mmap_mode="r")
    duplicates = find_duplicates(
        [row.problems.digest for _, row in packed],
        np.array([row.problems.extremes for _, row in packed]),
        lambda at: to_millivolts(counts[slice(*index["offsets"][at : at + 2])], index["step"][at], index["zero"][at]),
    )
    problems = {entry.id: row.problems for entry, row in packed}
    audit = make_audit(problems, refused, [entry.codes for entry, _ in packed], duplicates)
    files = {
        storage.INDEX: arrays.getvalue(),
        storage.RECORDINGS: storage.to_json(texts),
        storage.AUDIT: storage.to_json(asdict(audit), indent=1),
    }
    storage.write_checked(folder, files, manifest)


def corpus_state(
    corpus_folder: Path,
    pack_folder: Path,
    signals: SignalSpec = PLAIN,
    rate_of_files: int = 0,
    hdf5: HDF5 = UNSAID,
) -> str:
    """Returns the sha256 of all that decides what a pack will hold, without reading signals.

    That is the name, size and time of modification of each file of the corpus, the content of its tables, the default
    vocabulary, what is made of signals, and the version of the pack's format. Where the corpus lies does not count, nor
    `pack_folder` in it.

    Raises:
      CorpusError: the folder is missing, or cannot be listed.
    """
    fixed = [storage.FORMAT, signals, rate_of_files, hdf5, LEADS, CPSC2018.to_json()]
    state = hashlib.sha256(storage.to_json(fixed))
    try:
        for table in sorted(corpus_folder.glob("*.csv")):
            if not irregular(table):
                with open_regular(table) as file:
                    while block := file.read(2**20):
                        state.update(block)
        state.update(storage.to_json(sorted(_list_files(corpus_folder, pack_folder.resolve()))))
    except OSError as error:
        where = shorten(str(error.filename), 200)
        raise CorpusError(f"{corpus_folder}: cannot be listed: {error.strerror}: {where}. Check the path.") from error
    return state.hexdigest()


def _list_files(corpus_folder: Path, pack_folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yields (path in the corpus, bytes, nanoseconds of the last change) of each file, except those of the pack."""
    seen = {_identity(pack_folder)} if pack_folder.exists() else set()
    ahead = [(corpus_folder, "")]
    while ahead:
        folder, inside = ahead.pop()
        if (identity := _identity(folder)) in seen:  # a link to a folder above it would lead round in circles
            continue
        seen.add(identity)
        with os.scandir(folder) as children:  # for 40,000 files a few times faster than `Path.stat`
            for child in children:
                if child.is_symlink() and not os.path.exists(child):  # noqa: PTH110  (`Path` raises at loops of links)
                    continue
                if child.is_dir():
                    ahead.append((Path(child), f"{inside}{child.name}/"))
                elif child.is_file():
                    found = child.stat()
                    yield inside + child.name, found.st_size, found.st_mtime_ns


def _identity(folder: Path) -> tuple[int, int]:
    """Returns what tells a folder from all others, whatever links lead to it."""
    found = folder.stat()
    return found.st_dev, found.st_ino
