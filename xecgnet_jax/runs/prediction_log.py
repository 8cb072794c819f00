"""The rows of a table of predictions as they are made, so that a command that was killed goes on where it was."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xecgnet_jax.data.io.wfdb_header import signal_file_names
from xecgnet_jax.files import remove_leftovers, write_text


class Row(NamedTuple):
    """What is kept of a recording."""

    state: list[Any]  #: sizes and times of its files
    text: str  #: its line of the table
    refused: str | None  #: why it has no prediction
    picture: str | None  #: name of its picture


def whole_name(path: Path) -> str:
    """Returns a path from the root on: the same relative path may mean another file."""
    return os.fsdecode(path.absolute())


class PredictionLog:
    """Rows by recording, in a file beside the table: TABLE.unfinished, which `finish` makes the table of.

    Rows that were made of other files, by another network or with other options are not taken up.
    """

    def __init__(
        self,
        table: Path,
        basis: Mapping[str, Any],
        name: Callable[[Path], str] = whole_name,
        plots: Path | None = None,
    ) -> None:
        """Takes up the rows of an unfinished table, if they have the same basis: JSON values that decide the rows.

        `name` says by which name the row of a path is kept, `plots` where its picture is.
        """
        self._name, self._plots = name, plots
        self._table, self._file = table, table.with_name(f"{table.name}.unfinished")
        self._rows: dict[str, Row] = {}
        head = json.dumps({"basis": dict(basis)}, sort_keys=True)
        first, *lines = _whole_lines(self._file) or [""]
        if first == head:
            self._rows = dict(filter(None, map(_row_of, lines)))
        if table.parent.is_dir():
            remove_leftovers(table.parent, glob.escape(table.name))
        kept = [json.dumps([of, *row]) for of, row in self._rows.items()]
        write_text(self._file, "\n".join([head, *kept, ""]))
        self._stream = self._file.open("a", encoding="utf-8")

    @property
    def pictures(self) -> set[str]:
        """Names of pictures that are there."""
        return {row.picture for row in self._rows.values() if row.picture is not None}

    def row(self, path: Path) -> Row | None:
        """Returns the row of a recording that is as it was, with its picture; None where there is none.

        What was refused is tried again: its cause may be mended.
        """
        row = self._rows.get(self._name(path))
        if row is None or row.refused is not None or row.state != state_of(path):
            return None
        lost = row.picture is not None and not (self._plots is not None and (self._plots / row.picture).is_file())
        return None if lost else row

    def keep(self, path: Path, text: str, refused: str | None, picture: str | None) -> None:
        """Keeps the row of a recording."""
        row = self._rows[self._name(path)] = Row(state_of(path), text, refused, picture)
        self._stream.write(json.dumps([self._name(path), *row]) + "\n")
        self._stream.flush()

    def finish(self, head: str, paths: Iterable[Path]) -> int:
        """Writes the table: its head and the rows of these recordings; returns how many of them are refused."""
        rows = [self._rows[self._name(path)] for path in paths]
        write_text(self._table, head + "".join(row.text for row in rows))
        self.discard()
        return sum(row.refused is not None for row in rows)

    def discard(self) -> None:
        """Removes the rows."""
        self.close()
        self._file.unlink()

    def close(self) -> None:
        """Leaves the rows for the next time."""
        self._stream.close()


def _row_of(line: str) -> tuple[str, Row] | None:
    """Returns name and row of a line, None where it is damaged."""
    try:
        name, state, text, refused, picture = json.loads(line)
    except (ValueError, TypeError):
        return None
    known = (
        isinstance(name, str) and isinstance(text, str) and all(isinstance(x, str | None) for x in (refused, picture))
    )
    return (name, Row(state, text, refused, picture)) if known else None


def state_of(path: Path) -> list[Any]:
    """Returns sizes and times of modification of a recording's file, and of the signal files that its header names."""
    states: list[Any] = []
    for one in (path, *(path.with_name(name) for name in signal_file_names(path))):
        try:
            found = one.stat()
        except OSError:
            states.append(None)
        else:
            states.append([found.st_size, found.st_mtime_ns])
    return states


def _whole_lines(file: Path) -> list[str]:
    """Returns the lines of a file that were written to their ends; none where there is no file."""
    try:
        return file.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError):
        return []
