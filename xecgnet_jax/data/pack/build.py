"""A corpus → its pack, made where it is missing or the corpus has changed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from xecgnet_jax.data.corpora import Corpus, Entry, read_corpus
from xecgnet_jax.data.io.formats import can_be_read_now
from xecgnet_jax.data.io.hdf5 import HDF5, UNSAID
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.pack import storage
from xecgnet_jax.data.pack.audit import make_audit
from xecgnet_jax.data.pack.duplicates import find_duplicates
from xecgnet_jax.data.pack.pack import Pack, open_pack
from xecgnet_jax.data.pack.quantized import to_millivolts
from xecgnet_jax.data.pack.reading import PackedRecording, ReadEntry, read_entries
from xecgnet_jax.data.pack.shares import (
    Share,
    has_share,
    read_shares,
    remove_shares,
    share_of,
    shares_folder,
    write_share,
)
from xecgnet_jax.data.signals import PLAIN, SignalSpec
from xecgnet_jax.errors import CorpusError, PackError, RecordError, shorten
from xecgnet_jax.files import irregular, open_regular

#: Causes of refusals that an error message gives.
CAUSES_SHOWN: int = 3

#: What to do about a recording that cannot be read.
OnBadRecording = Literal["fail", "skip"]


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

    def open_made() -> Pack | None:
        if not (pack_folder / storage.MANIFEST).is_file():  # without listing the corpus, which `build_pack` does
            return None
        if not _is_pack_of(pack_folder, corpus_state(corpus_folder, pack_folder, signals, rate_of_files, hdf5)):
            return None
        pack = open_pack(pack_folder)
        causes = pack.audit.refused.values()
        return pack if not causes or (on_bad_recording == "skip" and not any(map(can_be_read_now, causes))) else None

    if (made := open_made()) is not None:
        return made
    try:
        with storage.packing_alone(pack_folder.resolve()):
            if (made := open_made()) is not None:  # by another process meanwhile
                return made
            return build_pack(
                read_corpus(
                    corpus_folder, rate_of_files=rate_of_files, skip_lost=on_bad_recording == "skip", hdf5=hdf5
                ),
                pack_folder,
                signals=signals,
                on_bad_recording=on_bad_recording,
                workers=workers,
                progress=progress,
            )
    except OSError as error:
        raise PackError(f"{pack_folder}: the pack cannot be written: {error}") from error


def _is_pack_of(folder: Path, state: str) -> bool:
    """Whether there is a pack of a corpus in this state."""
    return (folder / storage.MANIFEST).is_file() and storage.read_manifest(folder)["state"] == state


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

    It appears when it is complete, in place of one that was there, and does not depend on the number of workers, nor on
    what `build_share` has read before; shares are removed then.

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
        read_before = read_shares(folder, state)
        with (
            storage.new_generation(folder) as new,
            closing(read_entries(corpus, signals, workers, progress, read_before)) as entries,
        ):
            _write_pack(corpus, new, state, entries, signals, skip_bad=on_bad_recording == "skip")
        del read_before  # whose samples are mapped
        remove_shares(folder)
    except OSError as error:
        raise PackError(f"{folder}: the pack cannot be written: {error}") from error
    return open_pack(folder)


def build_share(
    corpus_folder: Path,
    pack_folder: Path,
    share: Share,
    *,
    signals: SignalSpec = PLAIN,
    rate_of_files: int = 0,
    hdf5: HDF5 = UNSAID,
    workers: int | None = None,
    progress: bool = True,
) -> tuple[int, dict[str, str]] | None:
    """Reads a share of a corpus for its pack, in a job of its own: `pack_of` with the same arguments joins them.

    Returns:
      The number of recordings, and the reason by id of those that cannot be read; None where the share, or the pack, is
      there.

    Raises:
      CorpusError, PackError: as `pack_of`.
    """
    try:
        state = corpus_state(corpus_folder, pack_folder, signals, rate_of_files, hdf5)
        if _is_pack_of(pack_folder, state) or has_share(pack_folder, share, state):
            return None
        corpus = read_corpus(corpus_folder, rate_of_files=rate_of_files, skip_lost=True, hdf5=hdf5)
        with closing(read_entries(share_of(corpus, share), signals, workers, progress)) as entries:
            return write_share(pack_folder, share, state, entries)
    except OSError as error:
        raise PackError(f"{pack_folder}: the share cannot be written: {error}") from error


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
    ours = {storage.lock_file(pack_folder).name, shares_folder(pack_folder).name}
    ahead = [(corpus_folder, "")]
    while ahead:
        folder, inside = ahead.pop()
        if (identity := _identity(folder)) in seen:  # a link to a folder above it would lead round in circles
            continue
        seen.add(identity)
        with os.scandir(folder) as children:  # for 40,000 files a few times faster than `Path.stat`
            for child in children:
                if child.name in ours:
                    continue
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
