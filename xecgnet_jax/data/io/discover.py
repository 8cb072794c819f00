"""Paths that a user gives → the recordings in them, one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from xecgnet_jax.data.io.array import ARRAYS, read_array
from xecgnet_jax.data.io.formats import Format, format_of, read_hospital
from xecgnet_jax.data.io.recording import (
    HIGHEST,
    LONGEST,
    Recording,
    RecordingWarning,
    check_signal,
    complete_recording,
    is_rate,
    prepare_recording,
)
from xecgnet_jax.data.io.table import LARGEST, names_leads, read_table
from xecgnet_jax.data.io.time_column import TimeStep
from xecgnet_jax.data.io.walk import HIDDEN, walk_folders
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.io.wfdb_header import signal_file_names
from xecgnet_jax.data.leads import MissingLeads
from xecgnet_jax.data.quality.plausibility import find_warnings
from xecgnet_jax.data.signals import PLAIN, SignalSpec, prepare_signal
from xecgnet_jax.errors import RecordError
from xecgnet_jax.files import irregular

#: Suffixes of WFDB's signal files, which their header describes.
SIGNAL_FILES = (".mat", ".dat")

#: WFDB takes names as they are written: software that reads `.hea` does not find `.HEA`.
UPPER_CASE = "the suffix must be lower case ({}): rename it, and correct it in the header where that names the file"

#: Suffixes of files that may be a table of leads; the first line decides.
TABLES = (".csv", ".tsv", ".txt")

#: What can be read, for messages.
KNOWN = (
    "WFDB (.hea with .mat or .dat), CPSC2018's .mat, GE MUSE, Philips and HL7 aECG XML, SCP-ECG, DICOM, EDF, CSV "
    "tables whose first line names the leads, .npy and .npz"
)

Units = Literal["mV", "uV", "V"]

#: What a table and an array do not say of themselves, and what to do.
SAYS_NOTHING: dict[str, str] = {
    "table": "a table says neither its sampling rate nor its units; give --rate HZ and --units mV, uV or V",
    "array": "an array says nothing of itself; give --rate HZ, --units mV, uV or V, and --leads (names of columns)",
}


@dataclass(frozen=True)
class RecordingFile:
    """A recording on disk that has not been read."""

    path: Path  #: a WFDB header, a `.mat` file without one, a table of leads, an array, or a file of a hospital
    is_table: bool = False  #: True for a table, which states neither its sampling rate nor its units
    format: Format | None = None  #: of a file of a hospital

    @property
    def is_array(self) -> bool:
        """Whether it is an array of NumPy, which states nothing of itself."""
        return self.path.suffix in ARRAYS


@dataclass(frozen=True)
class RecordingFiles:
    """The recordings that were found in paths."""

    recordings: tuple[RecordingFile, ...]  #: in the order of the paths, in folders by name; each once
    #: (path, reason) of every other file in folders; hidden files and folders are not listed.
    ignored: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, eq=False)
class LoadedRecording:
    """A recording as the network gets it."""

    signal: np.ndarray  #: [T, 12] float32, mV at the rate of the network
    rate: float  #: Hz of the file
    warnings: tuple[RecordingWarning, ...]  #: what looks wrong
    notes: tuple[str, ...]  #: what was left out or filled in, and is no reason to worry


def find_recording_files(paths: Sequence[Path]) -> RecordingFiles:
    """Finds the recordings among files and, at any depth, in folders. Links to folders are not followed.

    Raises:
      RecordError: a path does not exist, or is a file that is no recording.
    """
    found: dict[str, RecordingFile] = {}
    ignored: list[tuple[Path, str]] = []
    for path in paths:
        for file in _search_folder(path, ignored) if path.is_dir() else [_recording_of(path)]:
            found.setdefault(os.path.realpath(file.path), file)  # `Path.resolve` raises at loops of links
    return RecordingFiles(tuple(found.values()), tuple(ignored))


def read_recording(
    path: str | Path,
    *,
    rate: float | None = None,
    units: Units | None = None,
    leads: Sequence[str] | None = None,
    missing_leads: MissingLeads = "refuse",
) -> Recording:
    """Reads one recording of any format, and looks for what is wrong with it.

    Args:
      path: WFDB (`.hea`, or one of its signal files), CPSC2018's `.mat`, GE MUSE, Philips, HL7 aECG, SCP-ECG, DICOM,
        EDF (by its content, whatever its name), a CSV table of leads, or an array of NumPy.
      rate, units: Hz, and mV, uV or V, of a table or array, which do not say it themselves.
      leads: names of an array's columns.
      missing_leads: "refuse", or "zero": leads that the file lacks and that do not follow from I and II are 0 mV.

    Returns:
      The recording at the rate of the file.

    Raises:
      RecordError: it cannot be read without guessing.
    """
    recording = read_file(
        _recording_of(Path(path)), rate=rate, units=units, leads=leads or (), missing_leads=missing_leads
    )
    at_ours = prepare_recording(Path(path), recording, PLAIN)
    found = find_warnings(at_ours, rate=PLAIN.rate, units=units, absent=recording.absent)
    return replace(recording, warnings=recording.warnings + found)


def load_recording(
    file: RecordingFile,
    *,
    rate: float | None = None,
    units: Units | None = None,
    leads: Sequence[str] = (),
    missing_leads: MissingLeads = "refuse",
    spec: SignalSpec = PLAIN,
) -> LoadedRecording:
    """Reads a recording as a network sees it, and looks for what is wrong with it.

    A table or array does not state its `rate` (Hz) and units itself, an array neither its `leads`; `missing_leads` as
    in `read_recording`; `spec` says what the network sees.

    Raises:
      RecordError: as `read_recording`.
    """
    recording = read_file(file, rate=rate, units=units, leads=leads, missing_leads=missing_leads)
    unfiltered = prepare_recording(file.path, recording, spec._replace(filter=()))
    stated = units if file.is_table or file.is_array else None
    warnings = find_warnings(unfiltered, rate=spec.rate, units=stated, absent=recording.absent) + recording.warnings
    return LoadedRecording(prepare_signal(unfiltered, spec.rate, spec), recording.rate, warnings, recording.notes)


def read_file(
    file: RecordingFile,
    *,
    rate: float | None,
    units: Units | None,
    leads: Sequence[str],
    missing_leads: MissingLeads = "refuse",
) -> Recording:
    """Reads a recording that was found; of its warnings only those that the samples do not show.

    Raises:
      RecordError: as `read_recording`.
    """
    path = file.path
    try:
        if file.format is not None:
            recording = read_hospital(path, file.format, missing_leads)
        elif not file.is_table and not file.is_array:
            recording = read_record(path, rate=None, missing_leads=missing_leads)
        elif rate is not None and not is_rate(rate):
            raise RecordError(f"{path}: --rate is {rate:g}; an ECG has 50 to 100,000 Hz.")
        elif rate is None or units is None or (file.is_array and not leads):
            raise RecordError(f"{path}: {SAYS_NOTHING['array' if file.is_array else 'table']}.")
        elif file.is_array:
            longest = round(LONGEST * rate)
            values, named = read_array(path, units=units, leads=leads, longest=longest, missing_leads=missing_leads)
            recording = Recording(path.stem, values.astype(np.float32), rate, format="NumPy")
            recording = complete_recording(recording, named)
        else:
            table = read_table(path, units=units, longest=round(LONGEST * rate), missing_leads=missing_leads)
            ignored = f"columns that are no leads are ignored: {', '.join(table.ignored)}"
            recording = Recording(
                path.stem,
                table.signal.astype(np.float32),
                rate,
                format="CSV",
                warnings=_check_rate(table.step, rate),
                notes=(ignored,) if table.ignored else (),
            )
            recording = complete_recording(recording, table.leads)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error}). Check the file.") from error
    check_signal(path, recording, LARGEST if file.is_table or file.is_array else HIGHEST)
    return recording


def _check_rate(step: TimeStep | None, rate: float) -> tuple[RecordingWarning, ...]:
    """Returns a warning if the time column, in seconds or milliseconds, contradicts `rate`; 1 may be a row number."""
    if step is None or step.size == 1:
        return ()
    if any(abs(step.size - expected) <= step.error + 0.02 * expected for expected in (1 / rate, 1000 / rate)):
        return ()
    rates = f"{1 / step.size:.4g} Hz if seconds, {1000 / step.size:.4g} Hz if milliseconds, not --rate {rate:g}"
    return (RecordingWarning("rate", f"its column of time rises by {step.size:.4g}: {rates}"),)


def _recording_of(path: Path) -> RecordingFile:
    """Returns the recording that a file is or belongs to. WFDB's own tools name records without a suffix."""
    header = path.with_suffix(".hea")
    if path.suffix in (".hea", *SIGNAL_FILES) and header.is_file():
        return RecordingFile(header)
    if path.suffix in SIGNAL_FILES and (whole := path.with_name(f"{path.name}.hea")).is_file():
        return RecordingFile(whole)  # of a record whose name ends like a file
    if not path.exists():
        header_of_name = path.with_name(path.name + ".hea")
        if path.name and header_of_name.is_file():
            return RecordingFile(header_of_name)
        missing = irregular(path) if path.is_symlink() else "no such file or folder"
        raise RecordError(f"{path}: {missing}. Check the path.")
    if problem := irregular(path):
        raise RecordError(f"{path}: {problem}. Only regular files are read.")
    if (found := _by_content(path)) is not None:
        return found
    if _is_upper_case(path):
        raise RecordError(f"{path}: {UPPER_CASE.format(path.suffix.lower())}.")
    if path.suffix in ARRAYS:
        return RecordingFile(path)
    if path.suffix == ".dat":
        raise RecordError(f"{path}: its header {header.name} is missing. Restore it: only there are names and gains.")
    if path.suffix.lower() in TABLES or names_leads(path):
        return RecordingFile(path, is_table=True)
    if path.suffix.lower() in (".h5", ".hdf5"):
        raise RecordError(f"{path}: HDF5 is read as a corpus only. Give its folder, with an exams.csv, as --data.")
    raise RecordError(f"{path}: is no recording. Known are {KNOWN}.")


def _by_content(path: Path) -> RecordingFile | None:
    """Returns the recording that a file without a header is, found in a folder or named: its content comes first."""
    if (kind := format_of(path)) is not None:
        return RecordingFile(path, format=kind)
    if path.suffix == ".mat":
        return RecordingFile(path)
    if path.suffix.lower() in TABLES and names_leads(path):
        return RecordingFile(path, is_table=True)
    return None


def _search_folder(folder: Path, ignored: list[tuple[Path, str]]) -> list[RecordingFile]:
    """Returns the recordings of a folder and those below it; adds the paths of everything else to `ignored`."""
    found: list[RecordingFile] = []

    left_out: list[tuple[Path, str]] = []
    for _, paths in walk_folders(folder, left_out):
        headers = [path for path in paths if path.suffix == ".hea"]
        stems = {path.stem for path in headers}
        has_loose = any(path.suffix.lower() in SIGNAL_FILES and path.stem not in stems for path in paths)
        described: set[str] = set()  # names of the signal files that headers refer to
        for header in headers if has_loose else ():
            described.update(signal_file_names(header))
        for path in paths:
            has_header = path.name in described or (path.suffix in SIGNAL_FILES and path.stem in stems)
            if has_header and path.suffix != ".hea":
                continue
            if problem := "" if path.suffix in (".hea", ".mat") else irregular(path):
                ignored.append((path, problem))
                continue
            recording = RecordingFile(path) if path.suffix == ".hea" else _by_content(path)
            if recording is not None:
                found.append(recording)
            elif _is_upper_case(path):
                ignored.append((path, UPPER_CASE.format(path.suffix.lower())))
            elif path.suffix in ARRAYS:
                ignored.append((path, "an array; name it itself where it is a recording"))
            elif path.suffix == ".dat":
                ignored.append((path, "no header (.hea) describes it"))
            elif path.suffix.lower() in TABLES:
                ignored.append((path, "its first line names no leads, or fewer than three: name it itself"))
            else:
                ignored.append((path, "no format of recordings"))
    ignored += [(path, reason) for path, reason in left_out if reason != HIDDEN]
    return found


def _is_upper_case(path: Path) -> bool:
    """Tells whether the suffix would be one of WFDB's or CPSC2018's in lower case."""
    known = (".hea", *SIGNAL_FILES)
    return path.suffix not in known and path.suffix.lower() in known
