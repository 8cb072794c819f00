"""Seeds × values of γ: each member a run of its own, with its own working directory.

On CPUs the members are trained one after another by `fit`, and share what is compiled: XLA's CPU compiler leaves
convolutions with a kernel for each member as they are written, and those of a kernel's gradient are then 20 times
slower. On accelerators the members on a device are one vmapped program, and several devices have a share each.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Int

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.errors import ConfigError, DivergedError, StoppedError
from xecgnet_jax.model.layers import Array
from xecgnet_jax.training import loop
from xecgnet_jax.training.engine import Engine, Inputs, choose_devices
from xecgnet_jax.training.feed import DataOn, fits, lay_out, plan_epoch
from xecgnet_jax.training.initial import Initial
from xecgnet_jax.training.progress import ProgressBar, Record
from xecgnet_jax.training.state import TrainState
from xecgnet_jax.training.step import RunningMetrics, check_finite, zero_metrics
from xecgnet_jax.training.surroundings import fixed_arithmetic
from xecgnet_jax.training.workdir import RunDirectory, check_config


def make_members(config: Config, seeds: Sequence[int], gammas: Sequence[float], folder: Path) -> dict[Path, Config]:
    """Returns working directory → config, for each seed with each γ: FOLDER/seed0-gamma0.01.

    Raises:
      ConfigError: a seed or γ is impossible, missing or given twice.
      CheckpointError: a folder holds a run of another config.
    """
    for name, values in (("seeds", seeds), ("gammas", gammas)):
        if not values:
            raise ConfigError(f"{name} is empty; give at least one")
        if twice := sorted({value for value in values if list(values).count(value) > 1}):
            raise ConfigError(f"{name} has {twice[0]} twice; give each once")
    if not config.model.attention and any(gammas):
        raise ConfigError("gamma needs the attention branch: give --gammas 0 with --no-attention")
    members = {}
    for gamma, seed in itertools.product(map(float, gammas), seeds):
        objective = dataclasses.replace(config.objective, gamma=gamma)
        workdir = folder / f"seed{seed}-gamma{repr(gamma).removesuffix('.0')}"
        members[workdir] = dataclasses.replace(config, seed=seed, objective=objective)
        check_config(workdir, members[workdir])
    return members


@fixed_arithmetic()
def sweep(
    members: dict[Path, Config],
    dataset: Dataset,
    *,
    at_once: int = 0,
    progress: bool = True,
    save_every: int = 0,
    data_on: DataOn = "auto",
    devices: int = 0,
    initial: Initial | None = None,
    together: bool | None = None,
) -> dict[Path, Record]:
    """Trains members, or goes on with them, and returns working directory → its best epoch's line of metrics.jsonl.

    Each member ends as it would alone: to the same bits where they are trained one after another, else but for
    rounding. One whose loss is not finite leaves; the others go on.

    Args:
      members: configs that differ in seed and γ only, see `make_members`.
      at_once: members in a program at most; 0: all. Fewer need less memory.
      progress, save_every, data_on, devices, initial: see `fit`, which also tells what is raised.
      together: several members in a program; None: as suits the devices. It needs the recordings on the device.

    Raises:
      DivergedError: of all members whose loss was not finite, after the others were trained to their end.
    """
    chosen, first = choose_devices(devices), next(iter(members.values()))
    dataset.check_made_for(first.data)
    engine = Engine(first, dataset, chosen, initial)
    resident = data_on == "device" or (data_on == "auto" and fits(dataset, engine.samples, chosen))
    best: dict[Path, Record] = {}
    diverged: list[str] = []
    if together or (together is None and resident and chosen[0].platform != "cpu"):
        alone = Engine(first, dataset, chosen[:1], initial)
        size = at_once or len(members)
        for start in range(0, len(members), size):
            some = dict(list(members.items())[start : start + size])
            best |= _train_together(some, dataset, alone, chosen, diverged, progress, save_every)
    else:
        train = partial(loop.fit, progress=progress, save_every=save_every, data_on=data_on, engine=engine)
        for workdir, config in members.items():
            try:
                best[workdir] = train(config, dataset, workdir)
            except DivergedError as error:
                diverged.append(f"{workdir}: {error}")
    if diverged:
        raise DivergedError("\n".join(diverged))
    return best


class _Member:
    """One run of a group: its directory, where it is, and its state while no group holds it."""

    def __init__(self, directory: RunDirectory, engine: Engine) -> None:
        self.directory, self.config = directory, directory.config
        self.state, self.step, self.run = directory.restore(engine)


class _Group:
    """The states of members [M] that advance in one program; the last member stands in where the devices want more."""

    def __init__(self, members: Sequence[_Member], engine: Engine, program: Callable[..., Any], mesh: Any) -> None:
        self.members = list(members)
        self._slots = [*members, *[members[-1]] * (-len(members) % mesh.size)]
        self._engine, self._program = engine, program
        self._place = NamedSharding(mesh, PartitionSpec("member"))
        self._seeds = self._put(np.array([one.config.seed for one in self._slots], np.uint32))
        self._gammas = self._put(np.array([one.config.objective.gamma for one in self._slots], np.float32))
        self._plans: tuple[int, Any] = (-1, None)
        self._pending: deque[jax.Array] = deque()
        states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[one.state for one in self._slots])
        self._states: TrainState = self._put(states)
        self._metrics: RunningMetrics
        self.set_metrics({one: zero_metrics(one.run.sums) for one in members})
        for one in members:
            one.state = None

    def step(self, active: Sequence[_Member]) -> None:
        """Makes a step of the active members, which are all at the same one."""
        engine, epoch = self._engine, active[0].step // self._engine.per_epoch
        if self._plans[0] != epoch:
            plans = jax.vmap(lambda seed: plan_epoch(engine, seed, epoch))(self._seeds)
            self._plans = epoch, self._put(plans)
        moving = self._put(np.array([one in active for one in self._slots]))
        self._states, self._metrics = self._program(
            self._states, self._metrics, self._plans[1], self._seeds, self._gammas, moving
        )
        self._pending.append(self._metrics.diverged)
        if len(self._pending) > loop.LAG:
            self._pending.popleft().block_until_ready()
        for one in active:
            one.step += 1

    def metrics(self) -> dict[_Member, RunningMetrics]:
        """Returns the metrics of each member, as NumPy scalars; waits for the steps under way."""
        found = jax.device_get(self._metrics)
        return {one: jax.tree.map(lambda leaf, i=i: leaf[i], found) for i, one in enumerate(self.members)}

    def set_metrics(self, metrics: dict[_Member, RunningMetrics]) -> None:
        """Gives each member these metrics."""
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[metrics[one] for one in self._slots])
        self._metrics = self._put(stacked)

    def state(self, member: _Member) -> TrainState:
        """Returns the state of a member in buffers of its own, on the first device."""
        return jax.device_put(_take(self._states, self.members.index(member)), self._engine.devices[0])

    def _put(self, tree: Any) -> Any:
        return jax.device_put(tree, self._place)


@jax.jit
def _take(states: TrainState, member: Int[Array, ""] | int) -> TrainState:
    return jax.tree.map(lambda leaf: leaf[member], states)


def make_member_program(engine: Engine, dataset: Dataset, mesh: Any) -> Callable[..., Any]:
    """Returns the compiled step of members, vmapped on each device.

    (states, metrics, plans, seeds, gammas, moving) → (states, metrics), all with leading axes M; those that are not
    moving are left as they are. The states are given away. Devices have their share by `shard_map`: a vmapped
    convolution whose member axis is sharded by `jit` and `NamedSharding` is computed wrong by XLA (jax 0.10.2, 0.12.0).
    """

    def each(state: TrainState, metrics: RunningMetrics, *rest: Any) -> Any:
        plans, seed, gamma, moving, table, source = rest
        after = engine.member_step(state, metrics, Inputs(plans, table, source), seed, gamma)
        return jax.tree.map(partial(jnp.where, moving), after, (state, metrics))

    share, whole = PartitionSpec("member"), PartitionSpec()
    program = jax.shard_map(
        jax.vmap(each, in_axes=(0,) * 6 + (None,) * 2),
        mesh=mesh,
        in_specs=(share,) * 6 + (whole,) * 2,
        out_specs=share,
        check_vma=False,
    )
    data = (jax.device_get(engine.table), lay_out(dataset, engine.samples))
    table, source = jax.device_put(data, NamedSharding(mesh, whole))
    compiled = jax.jit(program, donate_argnums=0)
    return lambda *arguments: compiled(*arguments, table, source)


def _train_together(
    members: dict[Path, Config],
    dataset: Dataset,
    engine: Engine,
    devices: Sequence[jax.Device],
    diverged: list[str],
    progress: bool,
    save_every: int,
) -> dict[Path, Record]:
    """Trains members as one program; those behind go first, until all are at one step."""
    with ExitStack() as stack:
        enter = stack.enter_context
        entered = [
            enter(RunDirectory(path, config, dataset, engine.devices, engine.initial))
            for path, config in members.items()
        ]
        runs = [_Member(directory, engine) for directory in entered]
        stop = enter(loop.stop_requests())
        running = [one for one in runs if one.state is not None]
        first = min((one.step for one in running), default=0)
        bar = enter(closing(ProgressBar(f"{len(runs)} runs", first, engine.per_epoch, engine.total, None, progress)))
        used = devices[: max(1, len(running))]
        mesh = jax.make_mesh((len(used),), ("member",), (AxisType.Auto,), devices=used)
        program = make_member_program(engine, dataset, mesh)
        while running:
            group = _Group(running, engine, program, mesh)
            epoch_began = last_look = time.monotonic()
            # A smaller program must be compiled first: it pays when half of the members are done.
            while 2 * len(running) > len(group.members):
                active = [one for one in running if one.step == min(other.step for other in running)]
                group.step(active)
                step = active[0].step
                ended = step % engine.per_epoch == 0
                saves = not ended and (stop.is_set() or (save_every > 0 and step % save_every == 0))
                if not (ended or saves or time.monotonic() - last_look >= loop.LOOK_UP_SECONDS):
                    continue
                found, last_look = group.metrics(), time.monotonic()
                for one in list(active):
                    try:
                        check_finite(found[one])
                    except DivergedError as error:
                        diverged.append(f"{one.directory.path}: {error}")
                        active.remove(one)
                        running.remove(one)
                if active:
                    bar.show_step(step, float(np.mean([found[one].latest["loss"] for one in active])))
                for one in active:
                    if saves:
                        one.directory.save(group.state(one), one.run.within_epoch(found[one].sums))
                    if ended:
                        clocks = {"seconds": last_look - epoch_began, "waited_seconds": 0.0}
                        one.run, record = loop.end_epoch(
                            engine, one.directory, one.run, group.state(one), found[one], clocks
                        )
                        bar.show_epoch(record, one.directory.name)
                        found[one] = zero_metrics({})
                if ended:
                    group.set_metrics(found)
                    running, epoch_began = [one for one in running if not one.run.finished], time.monotonic()
                if stop.is_set() and running and (saves or ended):
                    raise StoppedError(loop.STOPPED.format(step, engine.total))
            found = group.metrics()
            for one in running:
                one.state, one.run = group.state(one), one.run.within_epoch(found[one].sums)
        return {one.directory.path: one.run.best_record for one in runs if one.run.finished}
