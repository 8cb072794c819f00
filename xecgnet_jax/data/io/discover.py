"""Paths that a user gives → the recordings in them, one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from xecgnet_jax.data.io.clock import Step
from xecgnet_jax.data.io.table import LARGEST, names_leads, read_table
from xecgnet_jax.data.io.wfdb import Recording, read_header, read_recording, resampled
from xecgnet_jax.data.io.wfdb_header import parse_header
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.quality.plausibility import Suspicion, suspicions_of
from xecgnet_jax.errors import RecordError

#: Suffixes of WFDB's signal files, which their header describes.
SIGNAL_FILES = (".mat", ".dat")

#: WFDB takes names as they are written: what reads `.hea` does not find `.HEA`.
UPPER_CASE = "the suffix must be lower case ({}): rename it, and correct it in the header where that names the file"

#: Suffixes of what may be a table of leads; the first line decides.
TABLES = (".csv", ".tsv", ".txt")

#: Seconds beyond which a recording is refused: no 12-lead ECG at rest, and it would fill the memory.
LONGEST: int = 3600

Units = Literal["mV", "uV", "V"]


@dataclass(frozen=True)
class Source:
    """A recording on disk that has not been read.

    Attributes:
      path: a WFDB header, a `.mat` file without one, or a table of leads.
      is_table: it is the latter, so it says neither its rate nor its units.
    """

    path: Path
    is_table: bool = False


@dataclass(frozen=True)
class Sources:
    """What paths hold.

    Attributes:
      recordings: in the order of the paths, in folders by name; each once.
      ignored: (path, why) of what else is in folders; hidden files and folders are not mentioned.
    """

    recordings: tuple[Source, ...]
    ignored: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, eq=False)
class Read:
    """A recording as the network gets it.

    Attributes:
      signal: [T, 12] float32, mV at 500 Hz.
      rate: Hz of the file.
      suspicions: what looks wrong.
      notes: what was left out, and is no reason to worry.
    """

    signal: np.ndarray
    rate: float
    suspicions: tuple[Suspicion, ...]
    notes: tuple[str, ...]


def find_sources(paths: Sequence[Path]) -> Sources:
    """Looks for recordings in files and, whatever their depth, in folders. Links to folders are not followed.

    Raises:
      RecordError: a path does not exist, or is a file that is no recording.
    """
    found: dict[Path, Source] = {}
    ignored: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            sources, others = _in_folder(path)
            ignored += others
        else:
            sources = [_of_file(path)]
        for source in sources:
            found.setdefault(source.path.resolve(), source)
    return Sources(tuple(found.values()), tuple(ignored))


def read_source(source: Source, *, rate: float | None = None, units: Units | None = None) -> Read:
    """Reads a recording, and looks for what is wrong with it.

    Args:
      source: the recording.
      rate: Hz of a table; other files say it themselves.
      units: of a table.

    Raises:
      RecordError: it cannot be read without guessing, see `read_recording` and `read_table`.
    """
    try:
        if source.is_table:
            return _read_table(source.path, rate, units)
        _check_length(source.path)
        recording = read_recording(source.path, rate=None)
    except OSError as error:
        raise RecordError(f"{source.path}: cannot be read ({error.strerror or error}). Check the file.") from error
    signal = _at_rate(source.path, recording)
    return Read(signal, recording.rate, suspicions_of(signal), ())


def _read_table(path: Path, rate: float | None, units: Units | None) -> Read:
    if rate is None or units is None:
        raise RecordError(f"{path}: a table says neither its sampling rate nor its units. Give --rate and --units.")
    table = read_table(path, units=units, longest=round(LONGEST * rate))
    signal = _at_rate(path, Recording(path.stem, table.signal, rate))
    suspicions = suspicions_of(signal, units=units) + _of_clock(table.step, rate)
    notes = (f"columns that are no leads are ignored: {', '.join(table.ignored)}",) if table.ignored else ()
    return Read(signal, rate, suspicions, notes)


def _at_rate(path: Path, recording: Recording) -> np.ndarray:
    """[T, 12] float32 at 500 Hz, where all samples may be voltages."""
    signal = recording.signal
    largest = np.abs(signal).max(axis=0)
    if wrong := [lead for lead, value in zip(LEADS, largest, strict=True) if not value <= LARGEST]:
        raise RecordError(
            f"{path}: samples of {', '.join(wrong)} are no voltages, they are beyond {LARGEST:g} mV. "
            "Correct the gain or units in the header, or the samples."
        )
    if recording.rate != RATE:
        signal = resampled(signal.astype(np.float64), recording.rate, RATE)
    return np.ascontiguousarray(signal, dtype=np.float32)


def _of_clock(step: Step | None, rate: float) -> tuple[Suspicion, ...]:
    """What a column of time says about the rate, in seconds or milliseconds; a step of 1 may count the rows."""
    if step is None or step.size == 1:
        return ()
    if any(abs(step.size - expected) <= step.error + 0.02 * expected for expected in (1 / rate, 1000 / rate)):
        return ()
    rates = (1 / step.size, 1000 / step.size)
    text = f"{rates[0]:.4g} Hz if seconds, {rates[1]:.4g} Hz if milliseconds, not --rate {rate:g}"
    return (Suspicion("rate", f"its column of time rises by {step.size:.4g}: {text}"),)


def _check_length(path: Path) -> None:
    """Refuses what is too long before its samples fill the memory."""
    if path.suffix == ".hea":
        header = read_header(path)
        if header.length and header.rate and header.length / header.rate > LONGEST:
            raise RecordError(f"{path}: longer than {LONGEST} s, too long for one ECG. Cut it into pieces.")


def _of_file(path: Path) -> Source:
    """The recording that a file is or belongs to. WFDB's own tools name records without a suffix."""
    header = path.with_suffix(".hea")
    if path.suffix in (".hea", *SIGNAL_FILES) and header.is_file():
        return Source(header)
    if not path.exists():
        named = path.with_name(path.name + ".hea")
        if path.name and named.is_file():
            return Source(named)
        raise RecordError(f"{path}: no such file or folder. Check the path.")
    if _is_upper_case(path):
        raise RecordError(f"{path}: {UPPER_CASE.format(path.suffix.lower())}.")
    if path.suffix == ".mat":
        return Source(path)
    if path.suffix == ".dat":
        raise RecordError(f"{path}: its header {header.name} is missing. Restore it: only there are names and gains.")
    if path.suffix.lower() in TABLES or names_leads(path):
        return Source(path, is_table=True)
    raise RecordError(
        f"{path}: is no recording. Known are WFDB (.hea with .mat or .dat), CPSC2018's .mat, and CSV tables whose "
        "first line names the leads."
    )


def _in_folder(folder: Path) -> tuple[list[Source], list[tuple[Path, str]]]:
    """(recordings, what else there is) of a folder and those below it."""
    sources: list[Source] = []
    ignored: list[tuple[Path, str]] = []

    def note(error: OSError) -> None:
        ignored.append((Path(error.filename), f"the folder cannot be read ({error.strerror})"))

    for parent, below, names in os.walk(folder, onerror=note):
        below[:] = sorted(name for name in below if not name.startswith("."))
        linked = [path for path in (Path(parent, name) for name in below) if _is_link(path)]
        ignored += [(path, "a link to a folder; name it where its recordings are wanted") for path in linked]
        paths = [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
        headers = [path for path in paths if path.suffix == ".hea"]
        described = {path.stem for path in headers}
        loose = [path for path in paths if path.suffix.lower() in SIGNAL_FILES and path.stem not in described]
        named = _signal_files(headers) if loose else set()
        for path in paths:
            if path.suffix == ".hea":
                sources.append(Source(path))
            elif path.name in named or (path.suffix in SIGNAL_FILES and path.stem in described):
                continue
            elif _is_upper_case(path):
                ignored.append((path, UPPER_CASE.format(path.suffix.lower())))
            elif path.suffix == ".mat":
                sources.append(Source(path))
            elif path.suffix == ".dat":
                ignored.append((path, "no header (.hea) describes it"))
            elif path.suffix.lower() not in TABLES:
                ignored.append((path, "no format of recordings"))
            elif names_leads(path):
                sources.append(Source(path, is_table=True))
            else:
                ignored.append((path, "its first line names no leads"))
    return sources, ignored


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:  # Walking there fails with the same, and is noted.
        return False


def _is_upper_case(path: Path) -> bool:
    """Whether it would be WFDB's or CPSC2018's, were its suffix in lower case."""
    known = (".hea", *SIGNAL_FILES)
    return path.suffix not in known and path.suffix.lower() in known


def _signal_files(headers: Sequence[Path]) -> set[str]:
    """Names of the files that headers refer to; what cannot be parsed is refused when it is read."""
    names: set[str] = set()
    for header in headers:
        try:
            names |= {line.split()[0] for line in parse_header(header).signal_lines}
        except RecordError:
            continue
    return names
