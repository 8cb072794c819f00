"""Runs that advance together in one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import jax
import numpy as np

from xecgnet_jax.training.journal import Journal
from xecgnet_jax.training.losses import Losses
from xecgnet_jax.training.programs import Members, Programs, States
from xecgnet_jax.training.state import TrainState
from xecgnet_jax.training.validation import Validation


class Data(Protocol):
    """Feeds a program, see `ResidentData` and `StreamedData`."""

    waited: float

    def advance(
        self, program: Any, states: States, losses: Losses, who: Members, step: int, count: int
    ) -> tuple[States, Losses]: ...

    def close(self) -> None: ...


class Crew:
    """M runs (the last ones repeated, where the devices want a multiple) and their states, together.

    Attributes:
      slots: M.
    """

    def __init__(self, runs: Sequence[Journal], programs: Programs, data: Data, *, resident: bool) -> None:
        self._programs, self._data = programs, data
        self.slots = programs.slots(len(runs))
        self._runs = [*runs, *[runs[-1]] * (self.slots - len(runs))]
        self._program = programs.advance(self.slots, resident=resident)
        self._states = programs.gathered(cast(list[TrainState], [run.state for run in self._runs]))
        for run in runs:
            run.state = None

    def advance(self, active: Sequence[Journal], count: int) -> None:
        """`count` steps of the active runs, which all stand at one step; their losses are known afterwards."""
        who = Members(
            np.array([run.config.seed for run in self._runs], np.uint32),
            np.array([run.config.objective.gamma for run in self._runs], np.float32),
            np.array([run in active for run in self._runs]),
        )
        losses: Losses = jax.tree.map(lambda *values: np.stack(values), *[run.losses for run in self._runs])
        # Put where the program gives them back: to another place it would be compiled anew.
        losses = self._programs.spread(losses, self.slots)
        self._states, made = self._data.advance(self._program, self._states, losses, who, active[0].step, count)
        made = jax.device_get(made)
        for run in active:
            slot = self._runs.index(run)
            run.losses = jax.tree.map(lambda values, slot=slot: values[slot], made)
            run.step += count

    def state(self, run: Journal) -> TrainState:
        """The state of a run, in buffers of its own, on the first device."""
        return self._programs.taken(self._states, self._runs.index(run))

    def probabilities(self, validation: Validation, active: Sequence[Journal]) -> list[np.ndarray]:
        """The validation part's probabilities [R, C] of each active run."""
        if self.slots == 1 or not self._programs.batched or isinstance(self._states, list):
            return [validation.probabilities(self.state(run).best) for run in active]
        every = validation.joint_probabilities(self._states.best, self.slots)
        return [every[self._runs.index(run)] for run in active]

    def dismiss(self, runs: Sequence[Journal]) -> None:
        """Gives these runs their states back."""
        for run in runs:
            run.state = self.state(run)
