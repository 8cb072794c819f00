"""Checkpoints: the only import of Orbax.

A checkpoint is three items: `model` (the variables to predict with, all that evaluation restores), `train` (what
training needs besides) and `description` (JSON, see there: a checkpoint says by itself what it is).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.training.description import Description, from_json
from xecgnet_jax.training.state import TrainState

FOLDER = "checkpoints"

# Orbax tells of every save on the root logger's level; errors still come through.
logging.getLogger("absl").setLevel(logging.ERROR)


def _quality(metrics: dict[str, Any]) -> tuple[float, float]:
    """Orders checkpoints: validation micro F1, and the earlier of equals."""
    return metrics["micro_f1"], -metrics["step"]


class Checkpoints:
    """The checkpoints of a working directory: the latest, and the best by validation micro F1."""

    def __init__(self, workdir: Path, *, read_only: bool = False) -> None:
        folder = Path(workdir).resolve() / FOLDER
        if read_only and not folder.is_dir():
            raise CheckpointError(f"{workdir}: no checkpoints there; give the working directory of a training run")
        self._workdir, self._folder = workdir, folder
        best = preservation_policy.BestN(get_metric_fn=_quality, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            best_fn=_quality,
            preservation_policy=preservation_policy.AnyPreservationPolicy([preservation_policy.LatestN(1), best]),
            read_only=read_only,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        handlers = {
            "model": ocp.StandardCheckpointHandler(),
            "train": ocp.StandardCheckpointHandler(),
            "description": ocp.JsonCheckpointHandler(),
        }
        try:
            self._manager = ocp.CheckpointManager(folder, options=options, item_handlers=handlers)
        except (ValueError, KeyError) as error:
            raise CheckpointError(f"{folder}: a checkpoint is damaged ({error}); remove the damaged one") from error

    def save(self, state: TrainState, description: dict[str, Any], micro_f1: float | None) -> None:
        """Saves in the background: the state's buffers must not be given away to a step.

        `micro_f1` is None in the middle of an epoch: such a one is never the best.
        """
        step = int(state.step)
        self._manager.save(
            step,
            args=ocp.args.Composite(
                model=ocp.args.StandardSave(state.eval_variables),
                train=ocp.args.StandardSave(_train_item(state)),
                description=ocp.args.JsonSave(description),
            ),
            metrics=None if micro_f1 is None else {"micro_f1": float(micro_f1), "step": step},
        )

    def latest(self) -> int:
        """Returns the step of the latest checkpoint, or 0 where there is none."""
        return self._manager.latest_step() or 0

    def best(self) -> int:
        """Returns the step of the best checkpoint. Raises CheckpointError where no epoch was finished yet."""
        step = self._manager.best_step()
        if step is None or self._manager.metrics(step) is None:
            raise CheckpointError(f"{self._workdir}: no finished epoch to evaluate yet; let the run go on")
        return step

    def description(self, step: int) -> Description:
        """Returns what the checkpoint of a step says of itself."""
        found = self._restore(step, description=ocp.args.JsonRestore())
        return from_json(found["description"], self._folder / str(step))

    def model(self, step: int, like: dict[str, Any]) -> dict[str, Any]:
        """Returns the variables of a step; `like` has their shapes."""
        return self._restore(step, model=ocp.args.StandardRestore(_abstract(like)))["model"]

    def state(self, step: int, like: TrainState) -> TrainState:
        """Returns the whole training state of a step; `like` has its shapes."""
        config = self._restore(step, description=ocp.args.JsonRestore())["description"]["config"]
        name = "optimizer" if "optimizer" in config else "optimiser"  # older versions spelled it so
        items = self._restore(
            step,
            model=ocp.args.StandardRestore(_abstract(like.eval_variables)),
            train=ocp.args.StandardRestore(_abstract(_train_item(like, name))),
        )
        train, model = items["train"], items["model"]
        if like.ema is None:
            return TrainState(train["step"], model, train[name], None)
        return TrainState(train["step"], train["variables"], train[name], model)

    def wait(self) -> None:
        """Waits for saves under way."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for saves under way."""
        self._manager.close()

    def _restore(self, step: int, **items: Any) -> Any:
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**items))
        except (ValueError, KeyError, TypeError, OSError) as error:
            if not (self._folder / str(step)).is_dir():
                raise CheckpointError(
                    f"{self._workdir}: checkpoint {step} is not there; if the run is still going it was replaced by a "
                    "better one: try again"
                ) from error
            cause = (str(error) or type(error).__name__).splitlines()[0]
            raise CheckpointError(
                f"{self._folder / str(step)}: cannot be restored ({cause}); it is damaged or of another version; use "
                "another checkpoint or train anew in another working directory"
            ) from error


def _train_item(state: TrainState, optimizer: str = "optimizer") -> dict[str, Any]:
    """Returns what `model` does not already hold: without an average, `model` is the trained variables themselves."""
    item = {"step": state.step, optimizer: state.optimizer}
    return item if state.ema is None else item | {"variables": state.variables}


def _abstract(tree: Any) -> Any:
    """Returns shapes, types and (single-device) shardings of a tree of arrays or of shapes."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)
