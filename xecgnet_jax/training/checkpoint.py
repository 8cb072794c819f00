"""Checkpoints: the only import of Orbax.

A checkpoint is three items: `model` (the variables to predict with, all that evaluation restores), `train` (what
training needs besides) and `description` (JSON, see there: a checkpoint says by itself what it is); `metrics` lie
beside them where it ends an epoch. Orbax keeps no checksums of them, so sha256.json does: it is written before the
folder gets its name, and each file is checked when it is read.
"""

from __future__ import annotations

import logging
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.files import check_room, damaged_file, read_json, sync, write_checksums
from xecgnet_jax.terminal import warn
from xecgnet_jax.training.description import Description, from_json
from xecgnet_jax.training.state import TrainState

FOLDER = "checkpoints"
#: Where a checkpoint is moved before its files are removed, so that no kill leaves half of one.
_REMOVED = ".removed"

# Orbax tells of every save on the root logger's level, and of what fails by a traceback: it is raised, too.
logging.getLogger("absl").setLevel(logging.CRITICAL)


def _quality(metrics: dict[str, Any]) -> tuple[float, float]:
    """Orders checkpoints: by the value that the run chooses by, and the earlier of equals."""
    return _value(metrics), -metrics["step"]


def _value(metrics: dict[str, Any]) -> Any:
    """Returns what the run chooses by, in older versions micro F1; None where neither is there."""
    return metrics.get("value", metrics.get("micro_f1"))


class SavedCheckpoints:
    """The checkpoints of a working directory, to be read: the latest and the best."""

    def __init__(self, workdir: Path) -> None:
        self._workdir, self._folder = workdir, Path(workdir).resolve() / FOLDER

    def steps(self) -> list[int]:
        """Returns the steps of the checkpoints, ascending."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdigit() and path.is_dir())

    def latest(self) -> int:
        """Returns the step of the latest checkpoint, or 0 where there is none."""
        return max(self.steps(), default=0)

    def best(self) -> int:
        """Returns the step of the best checkpoint.

        Raises:
          CheckpointError: there is none, no epoch was finished yet, or metrics are missing or damaged.
        """
        if not self._folder.is_dir():
            raise CheckpointError(
                f"{self._workdir}: no checkpoints there; give the working directory of a training run"
            )
        found = [metrics for step in self.steps() if (metrics := self._metrics(step)) is not None]
        if not found:
            raise CheckpointError(f"{self._workdir}: no finished epoch to evaluate yet; let the run go on")
        return int(max(found, key=_quality)["step"])

    def description(self, step: int) -> Description:
        """Returns what the checkpoint of a step says of itself."""
        return from_json(self._description(step), self._folder / str(step))

    def model(self, step: int, like: dict[str, Any]) -> dict[str, Any]:
        """Returns the variables of a step; `like` has their shapes."""
        found: dict[str, Any] = self._restore(step, "model", like)
        return found

    def state(self, step: int, like: TrainState) -> TrainState:
        """Returns the whole training state of a step; `like` has its shapes."""
        config = self._description(step)["config"]
        name = "optimizer" if "optimizer" in config else "optimiser"  # older versions spelled it so
        model = self._restore(step, "model", like.eval_variables)
        train = self._restore(step, "train", _train_item(like, name))
        if like.ema is None:
            return TrainState(train["step"], model, train[name], None)
        return TrainState(train["step"], train["variables"], train[name], model)

    def check(self, step: int, *items: str) -> None:
        """Raises CheckpointError where a file of these items, or of any, is not as it was written."""
        folder = self._folder / str(step)
        try:
            name = damaged_file(folder, *items)
        except FileNotFoundError:
            if not folder.is_dir():
                raise self._missing(step) from None
            _say_unchecked(folder)
            return
        if name is not None:
            raise self._damaged(step, name, "is not as it was written: its checksum is another")

    def _missing(self, step: int) -> CheckpointError:
        return CheckpointError(
            f"{self._workdir}: checkpoint {step} is not there; if the run is still going it was replaced by a better "
            "one: try again"
        )

    def _damaged(self, step: int, name: str, cause: str) -> CheckpointError:
        """Returns the error of a damaged file, with the checkpoint that is offered instead."""
        if not (self._folder / str(step)).is_dir():
            return self._missing(step)
        whole = [one for one in self.steps() if one != step and _is_whole(self._folder / str(one))]
        other = max([one for one in whole if one < step] or whole, default=None)
        instead = "there is no other whole one: train anew in another working directory"
        if other is not None:
            instead = (
                f"checkpoint {other} is whole: give {Path(self._workdir) / FOLDER / str(other)} in place of the run"
                + (f", or train on from it with --step {other}" if other < step else "")
            )
        return CheckpointError(
            f"{self._folder / str(step) / name}: {cause}; checkpoint {step} is damaged. Restore it; or, {instead}"
        )

    def _description(self, step: int) -> dict[str, Any]:
        return self._read_table(step, "description", "metadata")

    def _metrics(self, step: int) -> dict[str, Any] | None:
        """Returns what the checkpoint of a step is ordered by; None where it was saved in the middle of an epoch."""
        if not (self._folder / str(step) / "metrics" / "metrics").exists():
            self.check(step, "metrics")
            if self._description(step).get("thresholds") is None:
                return None
            raise self._damaged(step, "metrics/metrics", "is missing, so that it is not known which one is best")
        metrics = self._read_table(step, "metrics", "metrics")
        if not isinstance(_value(metrics), float) or metrics.get("step") != step:
            raise self._damaged(step, "metrics/metrics", "does not hold the metrics of this step")
        return metrics

    def _read_table(self, step: int, item: str, file: str) -> dict[str, Any]:
        self.check(step, item)
        try:
            found = read_json(self._folder / str(step) / item / file)
        except (OSError, ValueError) as error:
            raise self._damaged(step, f"{item}/{file}", f"cannot be read ({error})") from None
        if not isinstance(found, dict):
            raise self._damaged(step, f"{item}/{file}", "holds no table")
        return found

    def _restore(self, step: int, item: str, like: Any) -> Any:
        """Returns an item with the structure, shapes and types of `like`."""
        self.check(step, item)
        try:
            with ocp.StandardCheckpointer(multiprocessing_options=_by_itself()) as reader:
                return reader.restore(self._folder / str(step) / item, _abstract(like))
        except MemoryError:
            raise
        except Exception as error:  # TensorStore raises plain ones
            cause = (str(error) or type(error).__name__).splitlines()[0]
            raise self._damaged(step, item, f"cannot be restored, or is of another version ({cause})") from error


class Checkpoints(SavedCheckpoints):
    """The checkpoints of a working directory, to be read and written: Orbax keeps the latest and the best.

    Of the processes of a run one has it, and writes all: each of them has the whole state.
    """

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        for step in self.steps():
            self._metrics(step)  # Orbax reads them, too, and would not say which one is damaged
        self._saving = 0
        self._clear()
        self._folder.mkdir(parents=True, exist_ok=True)  # Orbax makes it only where all processes save
        best = preservation_policy.BestN(get_metric_fn=_quality, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            best_fn=_quality,
            preservation_policy=preservation_policy.AnyPreservationPolicy([preservation_policy.LatestN(1), best]),
            cleanup_tmp_directories=True,
            create=False,
            todelete_subdir=_REMOVED,
            multiprocessing_options=_by_itself(),
            async_options=ocp.AsyncOptions(post_finalization_callback=self._write_checksums),
        )
        handlers = {
            "model": ocp.StandardCheckpointHandler(multiprocessing_options=_by_itself()),
            "train": ocp.StandardCheckpointHandler(multiprocessing_options=_by_itself()),
            "description": ocp.JsonCheckpointHandler(multiprocessing_options=_by_itself()),
        }
        self._manager = ocp.CheckpointManager(self._folder, options=options, item_handlers=handlers)

    def save(self, state: TrainState, description: dict[str, Any], value: float | None) -> None:
        """Saves in the background: the state's buffers must not be given away to a step.

        The best checkpoint has the highest value. It is None in the middle of an epoch: such a one is never the best.
        """
        self.wait()
        if jax.process_count() > 1:  # Orbax takes no arrays of one of several processes
            state = jax.device_get(state)
        items = {"model": state.eval_variables, "train": _train_item(state)}
        check_room(self._folder, sum(getattr(leaf, "nbytes", 8) for leaf in jax.tree.leaves(items)))
        self._saving = step = int(state.step)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardSave(item) for name, item in items.items()},
                description=ocp.args.JsonSave(description),
            ),
            metrics=None if value is None else {"value": float(value), "step": step},
        )

    def wait(self) -> None:
        """Waits for saves under way, until they would outlast a power cut."""
        self._manager.wait_until_finished()
        sync(self._folder)
        self._clear()

    def close(self) -> None:
        """Waits for saves under way."""
        self.wait()
        self._manager.close()

    def _clear(self) -> None:
        """Removes what Orbax has moved away."""
        shutil.rmtree(self._folder / _REMOVED, ignore_errors=True)

    def _write_checksums(self) -> None:
        """Called by Orbax when all items are written, before it gives their folder its name."""
        (folder,) = self._folder.glob(f"{self._saving}.*")
        write_checksums(folder, [path for item in folder.iterdir() for path in item.rglob("*") if path.is_file()])


def remove_later(workdir: Path, step: int) -> None:
    """Removes the checkpoints after a step, so that training goes on from it.

    Raises:
      CheckpointError: there is no checkpoint of that step, or it is damaged.
    """
    saved = SavedCheckpoints(workdir)
    if step not in saved.steps():
        there = ", ".join(map(str, saved.steps())) or "none"
        raise CheckpointError(f"{workdir}: there is no checkpoint of step {step}; there are: {there}")
    saved.check(step)
    for later in saved.steps():
        if later > step:
            removed = Path(workdir) / FOLDER / _REMOVED
            removed.mkdir(exist_ok=True)
            (Path(workdir) / FOLDER / str(later)).rename(removed / str(later))
            shutil.rmtree(removed)


@cache
def _say_unchecked(folder: Path) -> None:
    """Says so once a process."""
    warn(f"{folder}: has no checksums (an older version wrote it), so it cannot be checked")


def _is_whole(folder: Path) -> bool:
    try:
        return damaged_file(folder) is None
    except FileNotFoundError:
        return False


def _by_itself() -> ocp.options.MultiprocessingOptions:
    """Returns how a process of several reads, or writes, without waiting for the others."""
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})


def _train_item(state: TrainState, optimizer: str = "optimizer") -> dict[str, Any]:
    """Returns what `model` does not already hold: without an average, `model` is the trained variables themselves."""
    item = {"step": state.step, optimizer: state.optimizer}
    return item if state.ema is None else item | {"variables": state.variables}


def _abstract(tree: Any) -> Any:
    """Returns shapes, types and (single-device) shardings of a tree of arrays or of shapes."""
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)
