"""A trained run on recordings of one's own → probabilities, label sets, and what looks wrong with the recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import window_length
from xecgnet_jax.data.io.discover import LoadedRecording, RecordingFile, Units, load_recording
from xecgnet_jax.data.io.hospital import recording_name
from xecgnet_jax.data.io.recording import RecordingWarning, hash_name
from xecgnet_jax.data.io.wfdb_header import signal_file_names
from xecgnet_jax.data.leads import MissingLeads
from xecgnet_jax.data.parallel import map_in_processes, workers_for
from xecgnet_jax.errors import RecordError
from xecgnet_jax.evaluation.inference import Maps, Predictions
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.files import write_text
from xecgnet_jax.plotting.picture import ecg_picture
from xecgnet_jax.runs.load import Run

#: Batches that are read before they are predicted; in `whole` windows they go by length, so several help.
BATCHES_READ = 4
#: Samples (48 bytes each) that are read before they are predicted, however few recordings they are: 80 minutes.
SAMPLES_READ = 2_400_000
#: Seconds of a recording up to which a whole batch of them fits where a batch of training did.
ORDINARY = 60
#: Characters of a recording's name that its picture's name keeps.
LONGEST_NAME = 60


#: A recording, as it was read or why it cannot be.
FileAndRecording: TypeAlias = tuple[RecordingFile, LoadedRecording | RecordError]


@dataclass(frozen=True, eq=False)
class FilePrediction:
    """What a run says of one recording.

    Attributes:
      path, rate: of the file; Hz.
      id, seconds: name and duration of the recording.
      probabilities: [C] float32.
      calibrated: [C], or None where the run has no calibration.
      labels: predicted classes, possibly none.
      warnings: what looks wrong.
      notes: what of the file was not used, and why there is no picture where one was wanted.
      picture: its file's name, or None.
    """

    path: Path
    id: str
    seconds: float
    rate: float
    probabilities: np.ndarray
    calibrated: np.ndarray | None
    labels: tuple[str, ...]
    warnings: tuple[RecordingWarning, ...]
    notes: tuple[str, ...]
    picture: str | None = None


@dataclass(frozen=True)
class Refusal:
    """A recording that cannot be read or predicted, and why."""

    path: Path
    id: str
    reason: str


def predict_files(
    run: Run,
    files: Sequence[RecordingFile],
    *,
    thresholds: Thresholds,
    rate: float | None = None,
    units: Units | None = None,
    leads: Sequence[str] = (),
    missing_leads: MissingLeads = "refuse",
    batch_size: int = 32,
    plots: Path | None = None,
    pictures: Iterable[str] = (),
    workers: int | None = 1,
    hash_ids: bool = False,
    keep: Callable[[RecordingFile, FilePrediction | Refusal], None] = lambda file, outcome: None,
    progress: bool = False,
) -> list[FilePrediction | Refusal]:
    """Reads and predicts recordings, a few batches at a time: signals and maps are not kept, outcomes are.

    Args:
      run, files: the model and the recordings.
      thresholds: from which probabilities on classes are predicted.
      rate, units, leads: Hz, units and columns of the tables and arrays among them.
      missing_leads: "refuse" recordings that lack leads, or take "zero" mV for those that do not follow from I and II.
      batch_size: windows in a step.
      plots: folder for a picture of each recording, made where it is missing; None: no pictures.
      pictures: names of pictures that are there and stay.
      workers: processes that read; None: one per CPU, fewer for few recordings.
      hash_ids: put keyed hashes in place of names and paths, which may be record numbers.
      keep: called with each outcome as soon as it is there, in the order of the recordings.
      progress: show a progress bar where stderr is a terminal.

    Returns:
      One for each file, in their order.
    """
    batch_size = min(batch_size, len(files))  # a few are not filled up to a whole batch
    outcomes: list[FilePrediction | Refusal] = []
    picture_names = {name.removesuffix(".svg").casefold() for name in pictures}
    read = partial(_read, rate=rate, units=units, leads=leads, missing_leads=missing_leads, spec=run.signals)
    if workers is None:
        workers = workers_for(len(files))
    with (
        tqdm(total=len(files), unit="recording", desc="predict", disable=None if progress else True) as bar,
        closing(map_in_processes(read, files, workers)) as results,
    ):
        for group in _groups(zip(files, results, strict=True), BATCHES_READ * batch_size):
            readable = [one for _, one in group if isinstance(one, LoadedRecording)]
            probabilities, maps = _predict_group(run, readable, batch_size, want_maps=plots is not None)
            label_sets = run.label_sets(apply_thresholds(probabilities, thresholds.values))
            row = 0
            for file, one in group:
                outcome: FilePrediction | Refusal
                if isinstance(one, RecordError):
                    outcome = Refusal(file.path, recording_name(file.path), str(one))
                else:
                    outcome = _outcome(run, file.path, one, probabilities[row], label_sets[row])
                if hash_ids:
                    outcome = _hashed(outcome)
                if not isinstance(one, RecordError):
                    if plots is not None and isinstance(outcome, FilePrediction):
                        its_maps = None if maps is None else maps[row]
                        outcome = _with_picture(run, outcome, one.signal, its_maps, thresholds, plots, picture_names)
                    row += 1
                outcomes.append(outcome)
                keep(file, outcome)
            bar.update(len(group))
    return outcomes


def picture_name(name: str, taken: set[str]) -> str:
    """Returns a file name for the picture of a recording, unlike any in `taken`, to which it is added.

    Only letters, digits and `._-` of the name are kept, so it cannot lead out of the folder; names that differ in case
    only would be one file on some systems, so they count as equal.
    """
    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:LONGEST_NAME].strip(".") or "recording"
    chosen, number = plain, 1
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{plain}-{number}"
    taken.add(chosen.casefold())
    return f"{chosen}.svg"


def _read(file: RecordingFile, **how: Any) -> LoadedRecording | RecordError:
    """Reads a recording as `load_recording`; an error is returned, so that the others go on."""
    try:
        return load_recording(file, **how)
    except RecordError as error:
        return error


def _groups(read: Iterable[FileAndRecording], most: int) -> Iterator[list[FileAndRecording]]:
    """Yields recordings as they are read, at most `most` at once, fewer of long ones."""
    group: list[FileAndRecording] = []
    samples = 0
    for file, one in read:
        samples += 0 if isinstance(one, RecordError) else len(one.signal)
        group.append((file, one))
        if len(group) == most or samples >= SAMPLES_READ:
            yield group
            group, samples = [], 0
    if group:
        yield group


def _predict_group(run: Run, recordings: Sequence[LoadedRecording], batch_size: int, *, want_maps: bool) -> Predictions:
    """Returns what the run says of recordings, in steps that fit into memory: long whole windows go in smaller ones."""
    lengths = np.array([len(one.signal) for one in recordings], np.int64)
    ordinary = round(ORDINARY * run.signals.rate)
    is_long = (lengths > ordinary) & (run.config.data.window == "whole")
    probabilities = np.zeros((len(recordings), len(run.classes)), np.float32)
    maps: dict[int, Maps] = {}
    size_of_long = max(1, batch_size * ordinary // int(np.max(lengths, initial=ordinary)))
    for rows, size in ((np.flatnonzero(~is_long), batch_size), (np.flatnonzero(is_long), size_of_long)):
        if len(rows):
            signals = [recordings[row].signal for row in rows.tolist()]
            found = run.predict_signals(signals.__getitem__, lengths[rows], maps=want_maps, batch_size=size)
            probabilities[rows] = found.probabilities
            maps |= zip(rows.tolist(), found.maps or [], strict=False)
    return Predictions(probabilities, [maps[row] for row in range(len(recordings))] if want_maps else None)


def _outcome(
    run: Run, path: Path, recording: LoadedRecording, probabilities: np.ndarray, labels: tuple[str, ...]
) -> FilePrediction | Refusal:
    if not np.isfinite(probabilities).all():
        reason = "the network has no probabilities for it that are numbers. Check its units, and the run."
        return Refusal(path, recording_name(path), f"{path}: {reason}")
    seconds, warnings = len(recording.signal) / run.signals.rate, recording.warnings
    seen = window_length(run.config) / run.signals.rate
    if run.config.data.window == "pad" and seconds > seen:  # padded windows have a length
        warnings += (RecordingWarning("long", f"the run looks at the last {seen:.0f} of its {seconds:.0f} s only"),)
    return FilePrediction(
        path=path,
        id=recording_name(path),
        seconds=seconds,
        rate=recording.rate,
        probabilities=probabilities,
        calibrated=run.calibrate(probabilities),
        labels=labels,
        warnings=warnings,
        notes=recording.notes,
    )


def _hashed(outcome: FilePrediction | Refusal) -> FilePrediction | Refusal:
    """Returns an outcome with hashes in place of the recording's name and path, and of its files' names."""
    name = hash_name(outcome.id)
    if isinstance(outcome, Refusal):
        reason = outcome.reason.replace(str(outcome.path), name)
        known = [outcome.path.name, *signal_file_names(outcome.path)]
        for one in sorted({text for file in known for text in (file, Path(file).stem)}, key=len, reverse=True):
            reason = re.sub(rf"(?<!\w){re.escape(one)}(?!\w)", name, reason) if len(one) > 2 else reason
        outcome = replace(outcome, reason=reason)
    return replace(outcome, path=Path(hash_name(os.fsdecode(outcome.path))), id=name)


def _with_picture(
    run: Run,
    prediction: FilePrediction,
    signal: np.ndarray,
    maps: Maps | None,
    thresholds: Thresholds,
    folder: Path,
    taken: set[str],
) -> FilePrediction:
    """Returns the same with its picture in the folder. One that cannot be drawn takes no prediction with it."""
    try:
        svg = ecg_picture(
            signal,
            maps=maps,
            classes=run.classes,
            probabilities=prediction.probabilities,
            thresholds=thresholds.values,
            title=prediction.id,
            notes=[str(prediction.path), *(f"warning: {one.text}" for one in prediction.warnings)],
            rate=run.signals.rate,
        )
    except ValueError as error:
        return replace(prediction, notes=(*prediction.notes, f"no picture can be drawn of it: {error}"))
    name = picture_name(prediction.id, taken)
    write_text(folder / name, svg)
    return replace(prediction, picture=name)
