"""Many recordings in one HDF5 file, as CODE-15 % has them: tracings [N, T, 12] and the id of each.

The leads are I, II, III, aVR, aVL, aVF, V1 … V6. Files say neither their rate nor their units (those of CODE-15 % are
disputed), so the user does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from xecgnet_jax.data.io.fields import MILLIVOLTS
from xecgnet_jax.data.io.hospital import INSTALL
from xecgnet_jax.data.io.recording import LONGEST, Recording, is_rate
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import CorpusError, RecordError

#: Data set of the recordings' ids, beside that of the tracings.
IDS = "exam_id"
#: Rows that are read together where the file is stored in larger blocks, or in one.
MOST_ROWS = 512
#: Samples of each lead that are read together at most: half a gigabyte of float32.
MOST_SAMPLES = 10_000_000
#: What h5py raises, beside OSError, where a file is damaged.
_DAMAGED = (KeyError, RuntimeError, ValueError, TypeError)


class HDF5(NamedTuple):
    """What the user says of HDF5 files."""

    dataset: str = "tracings"  #: name of the data set [N, T, 12]
    rate: float | None = None  #: Hz
    units: Literal["mV", "uV", "V"] | None = None


#: Nothing: all that corpora of single files need.
UNSAID: HDF5 = HDF5()


class Tracings(NamedTuple):
    """What a file holds, without its samples."""

    ids: tuple[str, ...]  #: of the N recordings, in the order of the rows
    samples: int  #: T, with the zeros that pad recordings
    together: int  #: rows that are best read together: those of a block of the file


def read_contents(path: Path, layout: HDF5) -> Tracings:
    """Returns the ids and sizes of a file.

    Raises:
      CorpusError: it is no such file, or the user has not said its rate and units.
    """
    if layout.rate is None or layout.units is None:
        raise CorpusError(
            f"{path}: HDF5 says neither its sampling rate nor its units. "
            "Give --hdf5-rate HZ and --hdf5-units mV, uV or V."
        )
    if not is_rate(layout.rate):
        raise CorpusError(f"{path}: --hdf5-rate is {layout.rate:g}; an ECG has 50 to 100,000 Hz.")
    try:
        with _opened(path) as file:
            tracings, ids = (_data_set(path, file, name) for name in (layout.dataset, IDS))
            shape, blocks = tracings.shape, tracings.chunks
            if len(shape) != 3 or shape[2] != len(LEADS) or tracings.dtype.kind not in "fiu":
                problem = (
                    f"{layout.dataset} holds {tracings.dtype} {list(shape)}, not numbers [recordings, samples, 12]"
                )
                raise CorpusError(f"{path}: {problem}. Name another with --hdf5-dataset.")
            if ids.shape != shape[:1]:
                raise CorpusError(f"{path}: {IDS} has {list(ids.shape)} ids of {shape[0]} recordings. Restore it.")
            if shape[1] > LONGEST * layout.rate:
                raise CorpusError(f"{path}: recordings of {shape[1]} samples are longer than {LONGEST} s. Cut them.")
            names = tuple(str(_text(value)) for value in ids[:])
    except (OSError, *_DAMAGED) as error:
        raise CorpusError(f"{path}: cannot be read as HDF5. Restore it.") from error
    fitting = max(1, MOST_SAMPLES // max(1, shape[1]))
    return Tracings(names, shape[1], min(MOST_ROWS, fitting, blocks[0] if blocks else 64))


def read_rows(path: Path, layout: HDF5, rows: Sequence[int], names: Sequence[str]) -> list[Recording | RecordError]:
    """Reads recordings by their rows (ascending) and names, those between them too: blocks are read as a whole.

    Zeros at both ends are padding, and are cut off. What cannot be read is returned as an error in its place.
    """
    try:
        with _opened(path) as file:
            first = rows[0]
            block = file[layout.dataset][first : rows[-1] + 1]
    except (OSError, *_DAMAGED) as error:
        wrong = RecordError(f"{path}: rows {rows[0]} to {rows[-1]} cannot be read. Restore the file.")
        wrong.__cause__ = error
        return [wrong] * len(rows)
    return [_recording(path, layout, block[row - first], name) for row, name in zip(rows, names, strict=True)]


def _recording(path: Path, layout: HDF5, values: np.ndarray, name: str) -> Recording | RecordError:
    where = f"{path}: {IDS} {name}"
    assert layout.rate is not None and layout.units is not None
    inside = np.flatnonzero((values != 0).any(axis=1))
    if not len(inside):
        return RecordError(f"{where}: holds only zeros. Leave it out.")
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is refused
        millivolts = values[inside[0] : inside[-1] + 1].astype(np.float64) * MILLIVOLTS[layout.units.lower()]
        signal = millivolts.astype(np.float32)
    if not np.isfinite(signal).all():
        return RecordError(f"{where}: samples are no numbers. Leave it out.")
    return Recording(name, signal, layout.rate, format="HDF5")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a file; its cache holds a row of blocks, so that none is unpacked twice for one reading."""
    try:
        import h5py
    except ImportError as error:
        raise CorpusError(f"{path}: HDF5 needs h5py: {INSTALL}") from error
    with h5py.File(path, "r", rdcc_nbytes=2**27) as file:
        yield file


def _data_set(path: Path, file: Any, name: str) -> Any:
    """Returns a data set of the file itself: HDF5 can lead into others."""
    import h5py

    link = file.get(name, getlink=True)
    found = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        there = ", ".join(sorted(file)[:9])
        raise CorpusError(f"{path}: has no data set {name} of its own; it has {there}. Name one with --hdf5-dataset.")
    return found


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
