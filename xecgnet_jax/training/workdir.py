"""The working directory of a run: one folder, one run, one process at a time."""

from __future__ import annotations

import json
import math
import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax
from filelock import FileLock, SoftFileLock, Timeout

from xecgnet_jax.config import Config, differences, from_dict, to_dict
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.splits import people_text, write_split
from xecgnet_jax.errors import CheckpointError, ConfigError
from xecgnet_jax.evaluation.platt import Calibration
from xecgnet_jax.evaluation.thresholds import Thresholds
from xecgnet_jax.files import NO_LOCKS, check_local, read_json, remove_leftovers, write_json, write_text
from xecgnet_jax.terminal import warn
from xecgnet_jax.training.checkpoint import Checkpoints, SavedCheckpoints, remove_later
from xecgnet_jax.training.description import Description
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.hosts import check_same, first_alone, is_first
from xecgnet_jax.training.initial import Initial, Transferred
from xecgnet_jax.training.progress import Progress, Record, value_of
from xecgnet_jax.training.state import TrainState
from xecgnet_jax.training.surroundings import changed_surroundings, environment, surroundings

CONFIG = "config.json"
DATA = "data.json"
SPLIT = "split.csv"
METRICS = "metrics.jsonl"
#: What of the weights that it began with a run took.
INITIAL = "init.json"
#: Recordings that these weights knew.
INITIAL_RECORDINGS = "initial.csv"
#: Settings that name files: what these hold is compared (data.json), not where they are.
_FILES = {"data.split_file", "data.sample_weights", "data.classes"}


class RunDirectory:
    """A working directory held for a run, while entered: checkpoints, metrics.jsonl, TensorBoard.

    Entering it writes what the run is of (config.json, data.json, split.csv, environment.json). Of several processes
    of the run the first one writes; the others read, and compare.

    Raises on entering:
      CheckpointError: it holds a run of another config, other data or other first weights, another process trains
        in it, or there is no whole checkpoint to go on from.

    Args:
      go_on_from: step of the checkpoint to go on from; later ones are removed. None: the latest.

    Attributes:
      path, name: the folder, and its own name.
      config, dataset: of the run.
      latest_f1: validation micro F1 of the last finished epoch, or None.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        dataset: Dataset,
        devices: list[jax.Device],
        initial: Initial | None = None,
        go_on_from: int | None = None,
    ) -> None:
        check_local(Path(path), "workdir")
        self.path, self.name = Path(path), Path(path).resolve().name
        self.config, self.dataset = config, dataset
        self._data = dataset.description() | ({} if initial is None else {"init": initial.digest})
        self._versions, self._go_on_from = surroundings(devices), go_on_from
        self.latest_f1: float | None = None
        self._saved, self._writes = SavedCheckpoints(self.path), is_first()

    def __enter__(self) -> RunDirectory:
        check_config(self.path, self.config)
        with first_alone(), ExitStack() as stack:
            if self._writes:
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(hold_alone(self.path))
                remove_leftovers(self.path)
            held = _read_json(self.path / DATA) if (self.path / DATA).exists() else self._data
            if self.config.init and "init" not in self._data and "init" in held:
                self._data["init"] = held["init"]  # taken when the run began
            names = dict.fromkeys([*self._data, *held])
            if changed := [name for name in names if held.get(name) != self._data.get(name)]:
                raise CheckpointError(
                    f"{self.path} holds a run on other data ({', '.join(changed)} differ); give the corpus (--data) "
                    "and split it was begun with, or another --workdir"
                )
            if self._writes:
                write_json(self.path / CONFIG, to_dict(self.config))
                write_json(self.path / DATA, self._data)
                write_split(self.path / SPLIT, self.dataset.split, self.dataset.patients())
                write_json(self.path / "environment.json", environment(self._versions))
                if self._go_on_from is not None:
                    remove_later(self.path, self._go_on_from)
                self._checkpoints = stack.enter_context(closing(Checkpoints(self.path)))
            self._held = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for saves under way, and lets the folder go."""
        self._held.close()

    def restore(self, engine: Engine) -> tuple[TrainState | None, int, Progress]:
        """Returns the run's state, step and progress at its last checkpoint, or at its beginning.

        The state of a finished run is None. What a killed run had written past its last checkpoint is taken back.
        """
        step = check_same(self._saved.latest(), f"{self.path}: the latest checkpoint")
        progress, state = Progress(), None
        if step:
            begun = self._saved.description(step)
            progress = begun.progress
            changed = changed_surroundings(begun.versions, self._versions)
            if changed and self._writes:
                warn(f"other surroundings than the run was begun with: {changed}; bits may differ")
        if not progress.finished:
            held = self._saved.state(step, engine.state_shapes) if step else engine.init(self.config.seed)
            state = engine.place(held)
            found = engine.transfer(held.variables) if engine.initial is not None and not step else None
            if self._writes:
                self._begin_files(engine.initial, found, step)
        if self._writes:
            self._take_back(step, engine.per_epoch)
        return state, step, progress

    def _begin_files(self, initial: Initial | None, found: Transferred | None, step: int) -> None:
        """Begins the files of a run that is not finished: what was found in other weights, and the curves."""
        from tensorboardX import SummaryWriter  # slow to import, and evaluation does without it

        if initial is not None and found is not None:
            write_json(self.path / INITIAL, {"source": initial.source, "taken": found.taken, "drawn": found.drawn})
            if initial.made_with is not None:
                write_text(self.path / INITIAL_RECORDINGS, people_text(initial.made_with))
            warn(found.summary(initial.source))
        events = SummaryWriter(str(self.path / "tensorboard"), purge_step=step + 1)
        self._events = self._held.enter_context(closing(events))

    def _take_back(self, step: int, per_epoch: int) -> None:
        """Removes the lines of metrics.jsonl past a step."""
        records = [record for record in read_metrics(self.path) if record["step"] <= step]
        self._say_missing([record["epoch"] for record in records], step // per_epoch)
        write_text(self.path / METRICS, "".join(json.dumps(record) + "\n" for record in records))
        self.latest_f1 = records[-1]["validation_micro_f1"] if records else None

    def save(self, state: TrainState, progress: Progress) -> None:
        """Saves a checkpoint in the middle of an epoch; its progress holds the sums of the metrics so far."""
        if self._writes:
            self._checkpoints.save(state, self._describe(progress, None, None), None)

    def commit(
        self,
        state: TrainState,
        progress: Progress,
        record: Record,
        thresholds: dict[str, Thresholds],
        calibration: Calibration,
    ) -> None:
        """Ends an epoch: its line of metrics.jsonl, TensorBoard events, a checkpoint of what is after it.

        The state's buffers are given to no step; thresholds and calibration are of the validation part.
        """
        if not self._writes:
            return
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for name, value in record.items():
            if isinstance(value, float):
                self._events.add_scalar(name, value, record["step"])
        self._events.flush()
        self.latest_f1 = record["validation_micro_f1"]
        value = value_of(record, self.config)
        self._checkpoints.save(state, self._describe(progress, thresholds, calibration), value)

    def wait(self) -> None:
        """Waits until the checkpoints lie on the disk."""
        if self._writes:
            self._checkpoints.wait()

    def _say_missing(self, epochs: list[int], made: int) -> None:
        """Tells of epochs whose lines are lost: they are made, so they are not made again."""
        if lost := sorted({*range(1, made + 1)} - {*epochs}):
            warn(
                f"{self.path / METRICS}: the lines of epochs {', '.join(map(str, lost))} are missing (cut off or "
                "removed); the run goes on, its curves lack them"
            )

    def _describe(
        self, progress: Progress, thresholds: dict[str, Thresholds] | None, calibration: Calibration | None
    ) -> dict[str, Any]:
        about = (self.config, self.dataset.vocabulary, self.dataset.normalization, self._data, self._versions)
        return Description(*about, progress, thresholds, calibration).to_json()


def hold_alone(folder: Path) -> FileLock | SoftFileLock:
    """Returns the lock of a folder, acquired: let go by the system, however the process ends.

    Where the file system has no locks, a file stands for it, and a line says so.

    Raises:
      CheckpointError: another process has it.
    """
    lock, instead = FileLock(folder / ".lock", timeout=0), SoftFileLock(folder / ".lock-file", timeout=0)
    try:
        lock.acquire()
        return lock
    except Timeout:
        raise CheckpointError(f"{folder}: another process is training here; wait for it or stop it") from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
    try:
        instead.acquire()
    except Timeout:
        raise CheckpointError(
            f"{folder}: another process is training here, or one was killed: then remove {instead.lock_file}"
        ) from None
    warn(f"{folder}: its file system has no locks; {instead.lock_file} stands for one")
    return instead


def check_config(workdir: Path, config: Config) -> None:
    """Raises CheckpointError where the folder holds a run of another config, of which a checkpoint is there."""
    if not (workdir / CONFIG).exists() or not SavedCheckpoints(workdir).latest():
        return
    found = differences(read_config(workdir), config)
    if changed := [line for line in found if line.partition(":")[0] not in _FILES]:
        raise CheckpointError(
            f"{workdir} holds a run of another config ({'; '.join(changed)}); choose another --workdir (--init "
            f"{workdir} begins with its weights), or give the settings it was begun with"
        )


def read_config(workdir: Path) -> Config:
    """Returns the config of a working directory."""
    path = workdir / CONFIG
    if not path.exists():
        raise CheckpointError(f"{workdir}: no {CONFIG} there; give the working directory of a training run")
    try:
        return from_dict(_read_json(path))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}; restore the file or train anew elsewhere") from None


def read_metrics(workdir: Path) -> list[Record]:
    """Returns the finished epochs of metrics.jsonl; a last line that a kill cut short is left out.

    Raises:
      CheckpointError: another line is not one of ours.
    """
    path = workdir / METRICS
    if not path.exists():
        return []
    text = path.read_bytes()
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    try:
        epochs = [json.loads(line) for line in lines]
        for epoch in epochs:
            if not (isinstance(epoch["step"], int) and isinstance(epoch["epoch"], int)):
                raise ValueError("a line without its step and epoch")
            if not math.isfinite(epoch["validation_micro_f1"]):
                raise ValueError("a line without its validation micro F1")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}); restore it, or remove it to lose the curves") from None
    return epochs


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore it or train anew elsewhere") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no table of settings; restore it or train anew elsewhere")
    return value
