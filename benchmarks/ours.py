"""The package's own training step and epoch, as its loop runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.config import Config
from xecgnet_jax.data.batches import Batch
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.model import XECGNet
from xecgnet_jax.training.crew import Crew, Data
from xecgnet_jax.training.journal import Journal
from xecgnet_jax.training.programs import Programs
from xecgnet_jax.training.resident import ResidentData
from xecgnet_jax.training.state import TrainState, build_optimizer
from xecgnet_jax.training.step import Metrics, train_step
from xecgnet_jax.training.streamed import StreamedData

#: Epochs and steps only shape the learning rate's schedule, which is constant here.
_EPOCHS, _STEPS = 1000, 100


def initial_state(config: Config, variables: dict[str, Any]) -> TrainState:
    """The state before step 0 with copies of these variables: steps use theirs up."""
    optimizer = build_optimizer(config.optimizer, _EPOCHS, _STEPS)
    own = jax.tree.map(jnp.copy, variables)
    return TrainState(jnp.zeros((), jnp.int32), own, optimizer.init(own["params"]), None)


def step_of(model: XECGNet, config: Config) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The jitted training step of a model; the state it is given is used up."""
    optimizer = build_optimizer(config.optimizer, _EPOCHS, _STEPS)
    step = partial(train_step, apply=model.apply, optimizer=optimizer, config=config)
    seed = jnp.uint32(config.seed)
    return jax.jit(lambda state, batch: step(state, batch, seed), donate_argnums=0)


def batch_of(signal: np.ndarray, labels: np.ndarray) -> Batch:
    """Windows [B, T, 12] that are full of signal, and their labels [B, C], on the device."""
    size, samples = signal.shape[:2]
    inside = jnp.tile(jnp.array([[0, samples]], jnp.int32), (size, 1))
    return Batch(jnp.asarray(signal), jnp.asarray(labels), jnp.ones(size), None, inside)


class Stepper:
    """Makes so many steps at each call, on one batch, each from the state that the one before left.

    Attributes:
      state: the latest.
      compiling: seconds that compiling the step took.
    """

    def __init__(self, model: XECGNet, variables: dict[str, Any], config: Config, batch: Batch, steps: int = 1) -> None:
        self.state = initial_state(config, variables)
        self._batch, self._steps = batch, steps
        lowered: Any = step_of(model, config).lower(self.state, self._batch)  # type: ignore[attr-defined]
        begun = time.perf_counter()
        self._step = lowered.compile()
        self.compiling = time.perf_counter() - begun

    def __call__(self) -> None:
        for _ in range(self._steps):
            self.state, metrics = self._step(self.state, self._batch)
        jax.block_until_ready((self.state, metrics))


class Epochs:
    """Trains runs together as `training.loop.train` does, an epoch at each call, without validation and checkpoints.

    Attributes:
      waited: seconds that the device waited for data so far.
    """

    def __init__(self, configs: Sequence[Config], dataset: Dataset, scratch: Path, *, resident: bool) -> None:
        self._folder = TemporaryDirectory(dir=scratch)
        programs = Programs(configs[0], dataset, jax.local_devices()[:1])
        self._runs = [
            Journal(config, dataset, Path(self._folder.name) / str(number)) for number, config in enumerate(configs)
        ]
        for run in self._runs:
            run.open(programs)
        self._data: Data = ResidentData(programs, dataset) if resident else StreamedData(programs, dataset)
        self._crew = Crew(self._runs, programs, self._data, resident=resident)
        self._steps = programs.per_epoch

    def __call__(self) -> None:
        self._crew.advance(self._runs, self._steps)  # which waits for the losses

    @property
    def waited(self) -> float:
        return self._data.waited

    def close(self) -> None:
        self._data.close()
        for run in self._runs:
            run.close()
        self._folder.cleanup()
