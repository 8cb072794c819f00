"""The compiled programs of a run, or of M that advance as one, shared among the devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from xecgnet_jax.config import Config
from xecgnet_jax.data.batches import Plan, steps_per_epoch
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.windows import Table, batch_of, cutting, table_of
from xecgnet_jax.training.losses import Losses, added
from xecgnet_jax.training.state import TrainState, build_model, build_optimizer, init_state, learning_rate
from xecgnet_jax.training.step import pos_weight, train_step

AXIS = "member"


#: Of M members: one with leading axes M; where they take turns, M with leading axes of 1, so that a step copies none.
States: TypeAlias = TrainState | list[TrainState]


class Members(NamedTuple):
    """What tells M members apart.

    Attributes:
      seed: [M] uint32.
      gamma: [M] float32.
      active: [M] bool; the others stand still.
    """

    seed: Any
    gamma: Any
    active: Any


class Resident(NamedTuple):
    """The training part's samples on the device.

    Attributes:
      samples: [N, 12] int16, at least T rows before the first and after the last recording.
      begins: [R] int32, first row of each recording.
    """

    samples: Any
    begins: Any


class Programs:
    """All that is compiled for a config and its data; seed and γ are arguments, so that all members share it.

    Attributes:
      config: of the members; their seeds and γ are not looked at.
      per_epoch: steps of an epoch.
      total: steps of the whole run.
      table: of the training recordings, on the device.
      samples: T of the training windows.
      batched: many steps are one program, and members are on an axis of every array.
    """

    def __init__(
        self, config: Config, dataset: Dataset, devices: Sequence[jax.Device], *, batched: bool | None = None
    ) -> None:
        """`batched`: steps in a loop, members on an axis of every array; None: as suits the devices."""
        self.config = config
        classes = len(dataset.pack.classes)
        table = table_of(dataset)
        self.per_epoch = steps_per_epoch(len(dataset.train), config.batch_size)
        self.total = self.per_epoch * config.epochs
        self._rate = jax.jit(learning_rate(config.optimizer, config.epochs, self.per_epoch))
        self.samples, self._masked = cutting(config, table.lengths)
        self.model = build_model(config.model, classes)
        optimizer = build_optimizer(config.optimizer, config.epochs, self.per_epoch)
        self._fresh = jax.jit(partial(init_state, config, classes, optimizer))
        weights = pos_weight(config.objective, dataset.pack.labels[dataset.train])
        positives = None if weights is None else jnp.asarray(weights)
        self._train_step = partial(
            train_step, apply=self.model.apply, optimizer=optimizer, config=config, pos_weight=positives
        )
        self.mesh = Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,)) if len(devices) > 1 else None
        self._device = devices[0]
        self.table = self.everywhere(table)
        # XLA's CPU compiler leaves the convolutions of a loop's body as they are written, and those of a kernel's
        # gradient are then 20 times slower; so are convolutions with a kernel for each member. There, a program is one
        # step, and members take turns (side by side in the program of a device, where there are several).
        self.batched = self._device.platform != "cpu" if batched is None else batched

    def fresh(self, seed: int) -> TrainState:
        """The state before step 0."""
        state: TrainState = self._fresh(np.uint32(seed))
        return state

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return float(self._rate(np.int32(step)))

    @property
    def fresh_shapes(self) -> TrainState:
        shapes: TrainState = jax.eval_shape(self._fresh, np.uint32(0))
        return shapes

    def slots(self, members: int) -> int:
        """Members of the program that holds so many: with several devices a multiple of them."""
        return members if self.mesh is None or members == 1 else -(-members // self.mesh.size) * self.mesh.size

    def everywhere(self, tree: Any) -> Any:
        """On every device that takes part."""
        place = self._device if self.mesh is None else NamedSharding(self.mesh, PartitionSpec())
        return jax.device_put(tree, place)

    def spread(self, tree: Any, members: int) -> Any:
        """Leading axes M, shared among the devices."""
        return jax.device_put(tree, self.spreading(members))

    def spreading(self, members: int) -> Any:
        """Where arrays with a leading axis M lie."""
        if self.mesh is None:
            return self._device
        return NamedSharding(self.mesh, PartitionSpec(AXIS if members > 1 else None))

    def in_turn(self, members: int) -> bool:
        """Whether members advance one after another, each by the program of one."""
        return members > 1 and not self.batched and self.mesh is None

    def gathered(self, states: Sequence[TrainState]) -> States:
        """M states as `advance` takes and gives them."""
        if self.in_turn(len(states)):
            return [self.spread(stacked([state]), 1) for state in states]
        return self.spread(stacked(states), len(states))

    def taken(self, states: States, member: int) -> TrainState:
        """One member's of such states, in buffers of its own, on the first device."""
        state = taken(states[member], 0) if isinstance(states, list) else taken(states, member)
        own: TrainState = jax.device_put(state, jax.local_devices()[0])
        return own

    def advance(self, members: int, *, resident: bool) -> Callable[..., tuple[States, Losses]]:
        """The jitted (states, losses, members, plans, table, source, count) → (states, losses) after `count` steps.

        The states are those of `gathered`, and donated. `source` is `Resident`, or the counts [M, B, T, 12] of one
        step. Without a loop in the program (see `batched`), and for counts, `count` is 1 whatever it says.
        """
        if self.in_turn(members):
            return self._in_turn(self.advance(1, resident=resident), resident)
        each = partial(self._each, rests=members > 1)
        together = (
            _alone(each, resident)
            if members == 1
            else self.each_member(each, (0, 0, 0, 0, None, None if resident else 0))
        )

        def advance(
            states: TrainState, losses: Losses, who: Members, plans: Plan, table: Table, source: Any, count: jax.Array
        ) -> tuple[TrainState, Losses]:
            def step(_: Any, carry: tuple[TrainState, Losses]) -> tuple[TrainState, Losses]:
                return together(*carry, who, plans, table, source)

            carry = (states, losses)
            return jax.lax.fori_loop(0, count, step, carry) if self.batched and resident else step(0, carry)

        split, whole = PartitionSpec(AXIS), PartitionSpec()
        arguments = (split, split, split, split, whole, whole if resident else split, whole)
        return jax.jit(self.shared(advance, members, arguments, split), donate_argnums=0)

    def _in_turn(self, program: Callable[..., Any], resident: bool) -> Callable[..., tuple[list[TrainState], Losses]]:
        """A step of each active member, one after another, by the program of one."""

        def advance(
            states: list[TrainState],
            losses: Losses,
            who: Members,
            plans: Plan,
            table: Table,
            source: Any,
            count: jax.Array,
        ) -> tuple[list[TrainState], Losses]:
            after, summed = [], []
            for member, state in enumerate(states):
                own_losses, own_plans = _alone_of((losses, plans), member)
                if who.active[member]:
                    alone = Members(*(value[member : member + 1] for value in who))
                    data = source if resident else _alone_of(source, member)
                    state, own_losses = program(state, own_losses, alone, own_plans, table, data, count)
                after.append(state)
                summed.append(own_losses)
            joined: Losses = _joined(summed)
            return after, joined

        return advance

    def each_member(self, program: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
        """The program for all members at once: arguments with axis 0 have a member each, those with None are shared."""
        if self.batched:
            return jax.vmap(program, in_axes=axes)

        def side_by_side(*arguments: Any) -> Any:
            members = len(jax.tree.leaves(arguments[axes.index(0)])[0])

            def of(member: int) -> Any:
                own = partial(jax.tree.map, lambda leaf: leaf[member])
                return program(*(own(a) if axis == 0 else a for a, axis in zip(arguments, axes, strict=True)))

            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(of, range(members)))

        return side_by_side

    def shared(self, program: Callable[..., Any], members: int, arguments: Any, result: Any) -> Callable[..., Any]:
        """The program, each device with its share of the members."""
        if self.mesh is None or members == 1:
            return program
        return jax.shard_map(program, mesh=self.mesh, in_specs=arguments, out_specs=result, check_vma=False)

    def _each(
        self, state: TrainState, losses: Losses, member: Members, plans: Plan, table: Table, source: Any, *, rests: bool
    ) -> tuple[TrainState, Losses]:
        """One step of one member; where it `rests`, an inactive one is left as it is."""
        chosen = Plan(*(value[state.step % self.per_epoch] for value in plans))
        counts = cut(source, chosen, self.samples) if isinstance(source, Resident) else source
        batch = batch_of(counts, chosen, table, masked=self._masked)
        new, metrics = self._train_step(state, batch, member.seed, gamma=member.gamma)
        after = new, added(losses, state.step, metrics)
        if not rests:
            return after
        return jax.tree.map(partial(jnp.where, member.active), after, (state, losses))


def cut(source: Resident, chosen: Plan, samples: int) -> jax.Array:
    """Counts [B, T, 12] of a planned batch; beside its recording a window holds its neighbors'."""
    first = source.begins[chosen.recordings] + chosen.starts
    leads = source.samples.shape[1]
    return jax.vmap(lambda row: jax.lax.dynamic_slice(source.samples, (row, 0), (samples, leads)))(first)


def _alone(step: Callable[..., Any], resident: bool) -> Callable[..., Any]:
    """A step for arrays with a leading axis of 1, without the cost of a batched program."""

    def alone(states: TrainState, losses: Losses, who: Members, plans: Plan, table: Table, source: Any) -> Any:
        first = partial(jax.tree.map, lambda leaf: leaf[0])
        made = step(first(states), first(losses), first(who), first(plans), table, source if resident else source[0])
        return jax.tree.map(lambda leaf: leaf[None], made)

    return alone


@jax.jit
def _alone_of(tree: Any, member: jax.Array | int) -> Any:
    """One member, with a leading axis of 1."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, member, 1), tree)


@jax.jit
def _joined(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *trees)


@jax.jit
def stacked(states: Sequence[TrainState]) -> TrainState:
    """[M] states as one with leading axes M."""
    together: TrainState = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return together


@jax.jit
def taken(states: TrainState, member: jax.Array | int) -> TrainState:
    """One member's state, in buffers of its own."""
    one: TrainState = jax.tree.map(lambda leaf: leaf[member], states)
    return one
