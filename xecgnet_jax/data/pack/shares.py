"""Recordings that several jobs have read, each a share of a corpus, and that the next build of its pack takes over.

A share is a folder beside the pack: samples, a table of what a pack keeps of each recording, and checksums.
"""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xecgnet_jax.data.corpora import Corpus
from xecgnet_jax.data.io.recording import key_digest
from xecgnet_jax.data.pack import storage
from xecgnet_jax.data.pack.reading import PackedRecording, ReadEntry, ReadResult
from xecgnet_jax.data.quality.problems import SignalProblems
from xecgnet_jax.errors import PackError, RecordError
from xecgnet_jax.files import damaged_file, read_json, write_bytes, write_checksums

ARRAYS, ROWS = "arrays.npz", "recordings.json"


class Share(NamedTuple):
    """Which share of a corpus: the K-th of N."""

    number: int
    of: int


def shares_folder(pack_folder: Path) -> Path:
    """Returns where the shares of a pack are."""
    return pack_folder.with_name(f"{pack_folder.name}.shares")


def share_of(corpus: Corpus, share: Share) -> Corpus:
    """Returns the corpus with the entries of a share: neighbors, so that each file of HDF5 is read by few."""
    at = [len(corpus.entries) * number // share.of for number in (share.number - 1, share.number)]
    return replace(corpus, entries=corpus.entries[slice(*at)])


def write_share(pack_folder: Path, share: Share, state: str, read: Iterable[ReadEntry]) -> tuple[int, dict[str, str]]:
    """Writes what was read of a share, which appears when it is complete, in place of one that was there.

    Returns:
      The number of recordings that were read or tried, and the reason by id of those that cannot be read: they are
      not in it.
    """
    folder = shares_folder(pack_folder)
    new, final = folder / secrets.token_hex(8), folder / f"{share.number}-of-{share.of}"
    new.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    arrays: dict[str, list[np.ndarray]] = {"step": [], "zero": [], "moments": []}
    try:
        with storage.samples_writer(new / storage.SAMPLES) as append:
            for entry, result in read:
                if isinstance(result, RecordError):
                    refused[entry.id] = str(result)
                    continue
                samples, row = result
                append(samples)
                for name, values in arrays.items():
                    values.append(getattr(row, name))
                rows.append({"id": entry.id} | _without(row, arrays) | {"problems": row.problems._asdict()})
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **{name: np.array(values) for name, values in arrays.items()})
        write_bytes(new / ARRAYS, content.getvalue())
        key = key_digest() if any(row["patient"] for row in rows) else ""
        write_bytes(new / ROWS, storage.to_json({"state": state, "key": key, "recordings": rows}))
        write_checksums(new, list(new.iterdir()))
        _remove(final)
        try:
            new.replace(final)
        except OSError:
            if not has_share(pack_folder, share, state):  # of another job, which was as fast
                raise
            shutil.rmtree(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return len(rows) + len(refused), refused


def _without(row: PackedRecording, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name not in arrays}


def has_share(pack_folder: Path, share: Share, state: str) -> bool:
    """Whether a share of the corpus in this state is there."""
    folder = shares_folder(pack_folder) / f"{share.number}-of-{share.of}"
    return folder.is_dir() and _state(folder) == state


def read_shares(pack_folder: Path, state: str) -> dict[str, ReadResult]:
    """Returns by id what the shares have of a corpus in this state; shares of another state are passed over.

    What could not be read is in none, and tried again: its cause may be mended. Samples are memory-mapped.

    Raises:
      PackError: a share is damaged, or its patients were hashed with another key than this user has.
    """
    folder = shares_folder(pack_folder)
    found: dict[str, ReadResult] = {}
    for share in sorted(folder.glob("*-of-*")) if folder.is_dir() else ():
        if _state(share) == state:
            found |= _read_share(share)
    return found


def _state(share: Path) -> str | None:
    """Returns the state of the corpus that a share was read from; None of one that is being removed."""
    return _read_table(share)["state"] if (share / ROWS).exists() else None


def _read_table(share: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = read_json(share / ROWS)
    except (OSError, ValueError) as error:
        raise _damaged(share, ROWS) from error
    if not isinstance(table, dict) or not isinstance(table.get("state"), str):
        raise _damaged(share, ROWS)
    return table


def _read_share(share: Path) -> dict[str, ReadResult]:
    try:
        if (name := damaged_file(share)) is not None:
            raise _damaged(share, name)
        with np.load(share / ARRAYS, allow_pickle=False) as file:
            arrays = dict(file)
        samples = np.load(share / storage.SAMPLES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _damaged(share, "a file") from error
    found: dict[str, ReadResult] = {}
    start = number = 0
    table = _read_table(share)
    if table["key"] and table["key"] != key_digest():
        problem = "patients of its recordings were hashed with another key"
        raise PackError(f"{share}: {problem}; set XECGNET_PATIENT_KEY alike for all jobs, and remove its folder")
    for row in table["recordings"]:
        name = row.pop("id")
        problems: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in row["problems"].items()
        }
        own = {key: values[number] for key, values in arrays.items()}
        packed = PackedRecording(**row | own | {"problems": SignalProblems(**problems)})
        found[name] = samples[start : start + packed.length], packed
        start, number = start + packed.length, number + 1
    return found


def _damaged(share: Path, name: str) -> PackError:
    return PackError(
        f"{share}: the share is damaged: {name} is not as it was written; remove its folder, and make it anew"
    )


def remove_shares(pack_folder: Path) -> None:
    """Removes all shares of a pack, also what killed jobs left."""
    folder = shares_folder(pack_folder)
    for share in folder.iterdir() if folder.is_dir() else ():
        _remove(share)
    shutil.rmtree(folder, ignore_errors=True)


def _remove(share: Path) -> None:
    """Removes a share, its table first: what a kill leaves of it is none."""
    (share / ROWS).unlink(missing_ok=True)
    shutil.rmtree(share, ignore_errors=True)
