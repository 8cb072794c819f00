"""The compiled step, on one device or on a mesh of several: `Engine`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Float, Int16, Integer

from xecgnet_jax.config import Config, DataConfig, differences
from xecgnet_jax.data.batches import RecordingTable, ResidentSamples, cut_counts, recording_table, to_batch
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.windows import Plan, steps_per_epoch, training_samples, window_spec
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.evaluation.inference import Predict, make_predict
from xecgnet_jax.model import apply_collapsed, apply_frozen, apply_merged
from xecgnet_jax.model.layers import Array
from xecgnet_jax.training.initial import Initial, Transferred, transfer
from xecgnet_jax.training.state import TrainState, Variables, build_model, build_optimizer, init_state, learning_rate
from xecgnet_jax.training.step import RunningMetrics, accumulate, class_weights, train_step

Tree = TypeVar("Tree")

#: Settings of the data that are compiled.
_OF_ENGINES = ("window", "seconds", "rate", "augment")


class Inputs(NamedTuple):
    """What a step reads besides its state: the epoch's plans, arrays [P, B, …], and the training recordings.

    The source is the recordings' samples on the device, or the step's counts.
    """

    plans: Plan
    table: RecordingTable
    source: ResidentSamples | Int16[Array, "B T 12"]


class Engine:
    """All that is compiled for a config and its data.

    Seed and γ are arguments: one engine serves all members of a sweep. A batch is shared among the devices of the mesh,
    which may be those of several processes; state, table and recordings are on each of them.

    Attributes:
      config: of the runs; its seed and γ are not looked at.
      model: the network.
      devices: of the mesh.
      table: of the training recordings, on the devices.
      spec: how recordings are cut.
      samples: T of the training windows.
      per_epoch: steps of an epoch.
      total: steps of a whole run.
      learning_rate: step → learning rate, compiled.
      initial: weights that the runs begin with; None where there are none, or no run is at its beginning.
    """

    def check_made_for(self, config: Config) -> None:
        """Raises ConfigError where a run of this config needs another engine."""
        own, asked = (
            replace(
                one,
                seed=0,
                patience=0,
                objective=replace(one.objective, gamma=0.0),
                data=replace(DataConfig(), **{name: getattr(one.data, name) for name in _OF_ENGINES}),
            )
            for one in (self.config, config)
        )
        if changed := differences(own, asked):
            raise ConfigError(f"the engine was made with other settings ({changed[0]}); make one for this config")

    def __init__(
        self, config: Config, dataset: Dataset, devices: Sequence[jax.Device], initial: Initial | None = None
    ) -> None:
        self.config, self.devices, self.initial = config, list(devices), initial
        self._alone = jax.process_count() == 1
        self._vocabulary = dataset.vocabulary
        mesh = jax.make_mesh((len(self.devices),), ("data",), (AxisType.Auto,), devices=self.devices)
        self._whole, self._shared = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
        table = recording_table(dataset)
        self.table = self.place(table)
        self.per_epoch = steps_per_epoch(len(dataset.train), config.batch_size)
        self.total = self.per_epoch * config.epochs
        self.spec = window_spec(config)
        self.samples, self._masked = training_samples(self.spec, np.asarray(table.lengths))
        self.model = build_model(config.model, len(dataset.pack.classes))
        optimizer = build_optimizer(config.optimizer, config.epochs, self.per_epoch, frozen=config.freeze)
        merged = partial(apply_merged, self.model)  # fewer operations, where layers are linear and all is real
        apply = self.model.apply if self._masked or config.model.activation != "none" else merged
        if config.freeze == "backbone":
            apply = partial(apply_frozen, self.model)
        self._train_step = partial(
            train_step,
            apply=apply,
            optimizer=optimizer,
            config=config,
            pos_weight=class_weights(config.objective, dataset.pack.labels[dataset.train]),
            columns=dataset.pack.columns if dataset.pack.annotated else None,
        )
        # Drawn once: what is compiled in a third of the time serves better than a fast program. The bits are the same.
        self._init = jax.jit(
            partial(init_state, self.model, optimizer, config.optimizer),
            out_shardings=self._whole,
            compiler_options={"xla_backend_optimization_level": 0},
        )
        self.learning_rate = jax.jit(learning_rate(config.optimizer, config.epochs, self.per_epoch))
        in_one_run = partial(self.member_step, share=self.share)
        self.step: Callable[..., tuple[TrainState, RunningMetrics]] = jax.jit(
            in_one_run, donate_argnums=0, out_shardings=self._whole
        )
        self._copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))

    def member_step(
        self,
        state: TrainState,
        metrics: RunningMetrics,
        inputs: Inputs,
        seed: Integer[Array, ""],
        gamma: Float[Array, ""],
        share: Callable[[Any], Any] = lambda tree: tree,
    ) -> tuple[TrainState, RunningMetrics]:
        """Makes the batch that the state's step number plans, and the step on it; to be jitted.

        `step` is this, compiled, with the batch shared among the devices: (state, metrics, inputs, seed, gamma) →
        (state, metrics). It gives the buffers of the state before away.
        """
        plan = Plan(*(value[state.step % self.per_epoch] for value in inputs.plans))
        source = inputs.source
        counts = cut_counts(source, plan, self.samples) if isinstance(source, ResidentSamples) else source
        batch = share(to_batch(share(counts), plan, inputs.table, masked=self._masked))
        after, found = self._train_step(state, batch, seed, gamma=gamma)
        return after, accumulate(metrics, state.step, found)

    @cached_property
    def predict(self) -> Predict:
        """The inference step of `evaluation.inference`, for the variables that `collapse` makes.

        Where processes share it, each of them gets all outputs.
        """
        infer = partial(apply_collapsed, self.model)

        def apply(variables: Any, signal: Array, **rest: Any) -> Any:
            outputs = infer(variables, self.share(signal), **rest)
            return outputs if self._alone else jax.lax.with_sharding_constraint(outputs, self._whole)

        return make_predict(apply)

    def init(self, seed: int) -> TrainState:
        """Returns the state before step 0: drawn, but for what is taken of `initial`."""
        state = self._init(np.uint32(seed))
        if self.config.init and self.initial is None:
            raise ConfigError("the config names weights to begin with: give them, as runs.fit.fit does")
        if self.initial is None:
            return state
        found = self.transfer(state.variables).variables
        # Copies: steps give the buffers of their state away, and the next run begins with `initial` again.
        variables, ema = (jax.tree.map(jnp.copy, found) for _ in range(2))
        return self.place(state._replace(variables=variables, ema=None if state.ema is None else ema))

    def transfer(self, drawn: Variables) -> Transferred:
        """Returns variables with what fits of `initial`, and what was taken."""
        assert self.initial is not None
        return transfer(drawn, self.initial, self._vocabulary, frozen=self.config.freeze)

    @property
    def state_shapes(self) -> TrainState:
        """Shapes and types of a state, without its arrays."""
        return jax.eval_shape(self._init, np.uint32(0))

    def place(self, tree: Tree) -> Tree:
        """Returns the arrays of a tree, which all processes have, on every device of the mesh."""
        if self._alone:
            return jax.device_put(tree, self._whole)
        place = partial(jax.make_array_from_process_local_data, self._whole)
        return jax.tree.map(lambda leaf: place(np.asarray(leaf)), tree)

    def share(self, tree: Tree) -> Tree:
        """Shares the leading axes of arrays among the devices, inside a compiled function: B need not divide."""
        return jax.lax.with_sharding_constraint(tree, self._shared)

    def place_counts(self, gather: Callable[[slice], Int16[np.ndarray, "b T 12"]]) -> Int16[Array, "B T 12"]:
        """Returns the counts of a batch on the devices: shared where B divides, else on each.

        `gather` is given rows of the batch and returns theirs: a process reads no others than its devices take.
        """
        shape = (self.config.batch_size, self.samples, len(LEADS))
        sharding = self._whole if shape[0] % len(self.devices) else self._shared

        def shard(index: Any) -> np.ndarray:
            return gather(index[0])

        return jax.make_array_from_callback(shape, sharding, shard)

    def snapshot(self, state: TrainState) -> TrainState:
        """Returns a state's arrays in buffers of their own on the first device: `step` gives the state's away."""
        return self._copy(jax.tree.map(lambda leaf: leaf.addressable_data(0), state))


def choose_devices(number: int) -> list[jax.Device]:
    """Returns the first `number` devices of this computer, or all where it is 0: those of all processes of the run.

    Raises:
      ConfigError: there are fewer, or several processes, which share all.
    """
    devices: list[jax.Device] = jax.devices()
    if number and jax.process_count() > 1:
        raise ConfigError(f"devices is {number}; the processes of a run share all devices that they see: leave it out")
    if not 0 <= number <= len(devices):
        raise ConfigError(f"devices is {number}; possible: 0 (all) to {len(devices)}, as many as this computer has")
    return devices[:number] if number else devices
