"""The package's own training step and epoch, as `training.loop.fit` runs them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from xecgnet_jax.config import Config
from xecgnet_jax.data.batches import Batch
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.windows import epoch_plan
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.feed import make_feed
from xecgnet_jax.training.loop import LAG
from xecgnet_jax.training.state import TrainState, build_optimizer
from xecgnet_jax.training.step import Metrics, check_finite, train_step, zero_metrics
from xecgnet_jax.training.sweep import make_member_program

#: (variables, signal, train, bins, mutable) → (Outputs, updated statistics): what a training step differentiates.
Apply = Callable[..., Any]
#: Epochs and steps only shape the learning rate's schedule, which is constant here.
_EPOCHS, _STEPS = 1000, 100


def make_state(config: Config, variables: dict[str, Any]) -> TrainState:
    """Returns the state before step 0 with copies of these variables: steps use theirs up."""
    optimizer = build_optimizer(config.optimizer, _EPOCHS, _STEPS)
    own = jax.tree.map(jnp.copy, variables)
    return TrainState(jnp.zeros((), jnp.int32), own, optimizer.init(own["params"]), None)


def make_step(apply: Apply, config: Config) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Returns the jitted training step; the state it is given is used up."""
    optimizer = build_optimizer(config.optimizer, _EPOCHS, _STEPS)
    step = partial(train_step, apply=apply, optimizer=optimizer, config=config)
    seed = jnp.uint32(config.seed)
    return jax.jit(lambda state, batch: step(state, batch, seed), donate_argnums=0)


def make_batch(signal: np.ndarray, labels: np.ndarray) -> Batch:
    """Returns windows [B, T, 12] that are full of signal, and their labels [B, C], on the device."""
    size, samples = signal.shape[:2]
    inside = jnp.tile(jnp.array([[0, samples]], jnp.int32), (size, 1))
    return Batch(jnp.asarray(signal), jnp.asarray(labels), jnp.ones(size), None, inside)


class Stepper:
    """Makes so many steps at each call, on one batch, each from the state that the one before left.

    Attributes:
      state: the latest.
      compiling: seconds that compiling the step took.
    """

    def __init__(self, apply: Apply, variables: dict[str, Any], config: Config, batch: Batch, steps: int = 1) -> None:
        self.state = make_state(config, variables)
        self._batch, self._steps = batch, steps
        lowered: Any = make_step(apply, config).lower(self.state, self._batch)  # type: ignore[attr-defined]
        began = time.perf_counter()
        self._step = lowered.compile()
        self.compiling = time.perf_counter() - began

    def __call__(self) -> None:
        for _ in range(self._steps):
            self.state, metrics = self._step(self.state, self._batch)
        jax.block_until_ready((self.state, metrics))


class Epochs:
    """Trains a run on one device as `training.loop.fit` does, an epoch a call, without validation and checkpoints.

    Attributes:
      steps: made so far.
    """

    def __init__(self, config: Config, dataset: Dataset, *, resident: bool) -> None:
        self._engine = Engine(config, dataset, jax.local_devices()[:1])
        self._feed = make_feed(self._engine, dataset, "device" if resident else "host")
        self._state = self._engine.init(config.seed)
        self._seed, self._gamma = np.uint32(config.seed), np.float32(config.objective.gamma)
        self.steps = 0

    def __call__(self) -> None:
        engine = self._engine
        metrics = engine.place(zero_metrics({}))
        under_way: deque[jax.Array] = deque()
        for inputs in self._feed.rest_of_epoch(engine.config.seed, self.steps):
            self._state, metrics = engine.step(self._state, metrics, inputs, self._seed, self._gamma)
            self.steps += 1
            under_way.append(metrics.diverged)
            if len(under_way) > LAG:
                under_way.popleft().block_until_ready()
        check_finite(jax.device_get(metrics))  # waits for the last step

    @property
    def waited(self) -> float:
        """Seconds that steps waited for data so far."""
        return self._feed.waited

    def close(self) -> None:
        """Lets the data go."""
        self._feed.close()


class MemberEpochs:
    """Trains members [M] that differ in their seed as one program on one device, an epoch a call."""

    def __init__(self, config: Config, seeds: range, dataset: Dataset) -> None:
        devices = jax.local_devices()[:1]
        self._engine = engine = Engine(config, dataset, devices)
        mesh = jax.make_mesh((1,), ("member",), (AxisType.Auto,), devices=devices)
        self._program = make_member_program(engine, dataset, mesh)
        self._place = NamedSharding(mesh, PartitionSpec("member"))
        state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(engine.init, seeds))
        gammas, moving = np.full(len(seeds), config.objective.gamma, np.float32), np.ones(len(seeds), bool)
        self._state, *self._settings = self._put((state, np.array(seeds, np.uint32), gammas, moving))
        plan = partial(epoch_plan, batch_size=config.batch_size, spec=engine.spec, samples=engine.samples)
        self._plan = jax.vmap(plan, in_axes=(0, None, None))
        self._lengths = jax.device_get(engine.table.lengths)
        self._epoch = 0

    def __call__(self) -> None:
        seeds = self._settings[0]
        plans = self._put(self._plan(seeds, np.uint32(self._epoch), self._lengths))
        metrics = self._put(jax.tree.map(lambda leaf: np.full(len(seeds), leaf), zero_metrics({})))
        for _ in range(self._engine.per_epoch):
            self._state, metrics = self._program(self._state, metrics, plans, *self._settings)
        self._epoch += 1
        found = jax.device_get(metrics)  # waits for the last step
        for member in range(len(seeds)):
            check_finite(jax.tree.map(lambda leaf, member=member: leaf[member], found))

    def _put(self, tree: Any) -> Any:
        return jax.device_put(tree, self._place)
