"""A folder → which corpus it is, its recordings, labels, patients, folds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One recording of a corpus, without its signal.

    Attributes:
      id: name of the recording, unique in its corpus.
      path: the file that `read_recording` takes (`.hea` or `.mat`).
      codes: diagnostic codes as the corpus writes them.
      patient: patient id, or None where the corpus has none.
      fold: the corpus's own fold, or None.
      age: years, or None.
      sex: "F", "M", or None.
    """

    id: str
    path: Path
    codes: tuple[str, ...]
    patient: str | None = None
    fold: int | None = None
    age: float | None = None
    sex: str | None = None


@dataclass(frozen=True)
class Corpus:
    """A folder of recordings as published.

    Attributes:
      kind: "cpsc2018", "challenge", "ptbxl" or "wfdb-csv".
      root: the folder.
      entries: sorted by id.
    """

    kind: str
    root: Path
    entries: tuple[Entry, ...]
