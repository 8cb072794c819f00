"""A trained run on recordings of one's own → probabilities, label sets, and what looks wrong with the recordings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import window_length
from xecgnet_jax.data.io.discover import LoadedRecording, RecordingFile, Units, load_recording
from xecgnet_jax.data.leads import RATE
from xecgnet_jax.data.quality.plausibility import RecordingWarning
from xecgnet_jax.errors import RecordError
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.files import write_text
from xecgnet_jax.plotting.picture import ecg_picture
from xecgnet_jax.runs.load import Run

#: Batches that are read before they are predicted; in `whole` windows they go by length, so several help.
BATCHES_READ: int = 4

#: Samples (48 bytes each) that are read before they are predicted, however few recordings they are: 80 minutes.
SAMPLES_READ: int = 2_400_000

#: Samples of a recording up to which a whole batch of them fits where a batch of training did.
ORDINARY: int = 60 * RATE

#: Characters of a recording's name that its picture's name keeps.
LONGEST_NAME: int = 60


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a run says of one recording.

    Attributes:
      path: of the file.
      id: name of the recording.
      seconds: duration.
      rate: Hz of the file.
      probabilities: [C] float32.
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
    labels: tuple[str, ...]
    warnings: tuple[RecordingWarning, ...]
    notes: tuple[str, ...]
    picture: str | None = None


@dataclass(frozen=True)
class Refused:
    """A recording that cannot be read or predicted, and why."""

    path: Path
    reason: str


def predict_sources(
    run: Run,
    sources: Sequence[RecordingFile],
    *,
    thresholds: Thresholds,
    rate: float | None = None,
    units: Units | None = None,
    batch_size: int = 32,
    plots: Path | None = None,
    progress: bool = False,
) -> list[Predicted | Refused]:
    """Reads and predicts recordings, a few batches at a time, so that memory does not grow with their number.

    Args:
      run: the model.
      sources: the recordings.
      thresholds: from which probabilities on classes are predicted.
      rate, units: Hz and units of the tables among them.
      batch_size: windows in a step.
      plots: folder for a picture of each recording, made where it is missing; None: no pictures.
      progress: show a progress bar where stderr is a terminal.

    Returns:
      One for each source, in their order.
    """
    batch_size = min(batch_size, len(sources))  # a few are not filled up to a whole batch
    found: list[Predicted | Refused] = []
    taken: set[str] = set()
    with tqdm(total=len(sources), unit="recording", desc="predict", disable=None if progress else True) as bar:
        for group in _groups(sources, rate, units, BATCHES_READ * batch_size):
            readable = [(source, one) for source, one in group if isinstance(one, LoadedRecording)]
            outcomes = _predicted(run, readable, thresholds, batch_size, want_maps=plots is not None)
            made = iter(outcomes)
            for source, one in group:
                if isinstance(one, RecordError):
                    found.append(Refused(source.path, str(one)))
                    continue
                outcome, maps = next(made)
                if plots is not None and isinstance(outcome, Predicted):
                    outcome = _with_picture(run, outcome, one.signal, maps, thresholds, plots, taken)
                found.append(outcome)
            bar.update(len(group))
    return found


def picture_name(name: str, taken: set[str]) -> str:
    """A file name for the picture of a recording, unlike any in `taken`, to which it is added.

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


def _groups(
    sources: Iterable[RecordingFile], rate: float | None, units: Units | None, most: int
) -> Iterator[list[tuple[RecordingFile, LoadedRecording | RecordError]]]:
    """Recordings as they are read, at most `most` at once, fewer of long ones."""
    group: list[tuple[RecordingFile, LoadedRecording | RecordError]] = []
    samples = 0
    for source in sources:
        one: LoadedRecording | RecordError
        try:
            one = load_recording(source, rate=rate, units=units)
            samples += len(one.signal)
        except RecordError as error:
            one = error
        group.append((source, one))
        if len(group) == most or samples >= SAMPLES_READ:
            yield group
            group, samples = [], 0
    if group:
        yield group


def _predicted(
    run: Run,
    recordings: Sequence[tuple[RecordingFile, LoadedRecording]],
    thresholds: Thresholds,
    batch_size: int,
    *,
    want_maps: bool,
) -> Iterator[tuple[Predicted | Refused, Maps | None]]:
    """What the run says of recordings that have been read, in their order."""
    lengths = np.array([len(one.signal) for _, one in recordings], np.int64)
    probabilities = np.zeros((len(recordings), len(run.classes)), np.float32)
    maps: list[Maps | None] = [None] * len(recordings)
    for rows, size in _batches(run, lengths, batch_size):
        signals = [recordings[row][1].signal for row in rows]
        result = run.predict_signals(signals.__getitem__, lengths[rows], maps=want_maps, batch_size=size)
        probabilities[rows] = result.probabilities
        if result.maps is not None:
            for row, its_maps in zip(rows, result.maps, strict=True):
                maps[row] = its_maps
    is_in = apply_thresholds(probabilities, thresholds.values)
    for row, (source, one) in enumerate(recordings):
        if not np.isfinite(probabilities[row]).all():
            reason = "the network has no probabilities for it that are numbers. Check its units, and the run."
            yield Refused(source.path, f"{source.path}: {reason}"), None
            continue
        labels = tuple(name for name, member in zip(run.classes, is_in[row], strict=True) if member)
        unseen = _unseen(run, len(one.signal))
        yield (
            Predicted(
                path=source.path,
                id=source.path.stem,
                seconds=len(one.signal) / RATE,
                rate=one.rate,
                probabilities=probabilities[row],
                labels=labels,
                warnings=one.warnings + unseen,
                notes=one.notes,
            ),
            maps[row],
        )


def _batches(run: Run, lengths: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, int]]:
    """(rows, windows in a step) that fit into memory: long recordings as whole windows go in smaller steps."""
    long = (lengths > ORDINARY) & (run.config.data.window == "whole")
    if not long.all():
        yield np.flatnonzero(~long), batch_size
    if long.any():
        yield np.flatnonzero(long), max(1, batch_size * ORDINARY // int(lengths.max()))


def _unseen(run: Run, samples: int) -> tuple[RecordingWarning, ...]:
    """Padded windows have a length, and what a recording has before it is cut off."""
    if run.config.data.window != "pad" or samples <= window_length(run.config):
        return ()
    seen = window_length(run.config) / RATE
    return (RecordingWarning("long", f"the run looks at the last {seen:.0f} of its {samples / RATE:.0f} s only"),)


def _with_picture(
    run: Run,
    outcome: Predicted,
    signal: np.ndarray,
    maps: Maps | None,
    thresholds: Thresholds,
    folder: Path,
    taken: set[str],
) -> Predicted:
    """The same with its picture in the folder. One that cannot be drawn takes no prediction with it."""
    try:
        svg = _picture(run, outcome, signal, maps, thresholds)
    except ValueError as error:
        return dataclasses.replace(outcome, notes=(*outcome.notes, f"no picture can be drawn of it: {error}"))
    name = picture_name(outcome.id, taken)
    write_text(folder / name, svg)
    return dataclasses.replace(outcome, picture=name)


def _picture(run: Run, outcome: Predicted, signal: np.ndarray, maps: Maps | None, thresholds: Thresholds) -> str:
    return ecg_picture(
        signal,
        maps=maps,
        classes=run.classes,
        probabilities=outcome.probabilities,
        thresholds=thresholds.values,
        title=outcome.id,
        notes=[str(outcome.path), *(f"warning: {one.text}" for one in outcome.warnings)],
        rate=RATE,
    )
