"""The recordings of a corpus, read one after another or in several processes → what a pack keeps of each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from tqdm import tqdm

from xecgnet_jax.data.corpora import Corpus, Entry
from xecgnet_jax.data.io.formats import format_of, read_hospital
from xecgnet_jax.data.io.hdf5 import HDF5, read_rows
from xecgnet_jax.data.io.recording import Recording, check_signal, prepare_recording
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.normalization import signal_moments
from xecgnet_jax.data.pack.quantized import quantize, to_millivolts
from xecgnet_jax.data.parallel import map_in_processes, workers_for
from xecgnet_jax.data.quality.problems import WRONG_UNITS, SignalProblems, find_problems, typical_size
from xecgnet_jax.data.signals import SignalSpec, filter_signal
from xecgnet_jax.errors import PackError, RecordError


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
#: What was read before, where nothing was.
NOTHING: Mapping[str, ReadResult] = MappingProxyType({})


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


def read_entries(
    corpus: Corpus,
    signals: SignalSpec,
    workers: int | None,
    progress: bool,
    read_before: Mapping[str, ReadResult] = NOTHING,
) -> Generator[ReadEntry]:
    """Reads what was not read before, and yields all recordings of the corpus in its order, with a progress bar."""
    missing = [entry for entry in corpus.entries if entry.id not in read_before]
    if workers is None:
        workers = workers_for(len(missing))
    if workers < 1:
        raise PackError(f"recordings cannot be read by {workers} workers; ask for 1 or more")
    bar = tqdm(corpus.entries, f"packing {corpus.root}", unit=" recordings", disable=None if progress else True)
    read = partial(read_together, signals=signals, hdf5=corpus.hdf5)
    try:
        with closing(map_in_processes(read, list(_tasks(missing, corpus.together)), workers)) as results, bar:
            fresh = chain.from_iterable(results)
            for entry in bar:
                yield entry, read_before[entry.id] if entry.id in read_before else next(fresh)
    except BrokenProcessPool as error:
        problem = "a process that reads recordings was ended from outside, perhaps because memory ran out"
        raise PackError(f"{problem}; try again with fewer workers") from error


def _tasks(entries: Sequence[Entry], together: int) -> Iterator[tuple[Path, list[Entry]]]:
    """Yields recordings, those of one block of a file together."""
    for (path, _), group in groupby(entries, lambda entry: (entry.path, (entry.row or 0) // together)):
        yield path, list(group)
