"""fit() and train(): where data, programs, checkpoints and logs meet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal

import jax

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.errors import DivergedError, StoppedError
from xecgnet_jax.training.bar import Bar
from xecgnet_jax.training.crew import Crew, Data
from xecgnet_jax.training.journal import Journal
from xecgnet_jax.training.log import write_environment
from xecgnet_jax.training.losses import check
from xecgnet_jax.training.programs import Programs
from xecgnet_jax.training.resident import ResidentData, fits
from xecgnet_jax.training.stopping import stop_requests
from xecgnet_jax.training.streamed import StreamedData
from xecgnet_jax.training.validation import Validation, figures
from xecgnet_jax.training.workdir import claimed

#: Where the training part's samples are while training: `auto` asks whether they fit in the device's memory.
DataOn = Literal["auto", "device", "host"]
#: The host looks up about this often: for Ctrl-C, the progress bar and losses that are not finite.
LOOK_UP_SECONDS = 2.0


def fit(
    config: Config,
    dataset: Dataset,
    workdir: Path,
    *,
    progress: bool = True,
    save_every: int = 0,
    data_on: DataOn = "auto",
) -> dict[str, Any]:
    """Trains, or goes on with the run that `workdir` holds, and gives back its best epoch's line of metrics.jsonl.

    A run is a function of (config, data, seed, step): one that was killed and goes on ends with the same bits as
    one that was not.

    Args:
      config: of the run.
      dataset: the recordings.
      workdir: made where it is missing; gets config.json, environment.json, metrics.jsonl, tensorboard/, checkpoints/.
      progress: show a progress bar.
      save_every: also save a checkpoint after this many steps; 0: after each epoch only.
      data_on: where the training part's samples are. The batches are the same.

    Raises:
      CheckpointError: `workdir` holds a run of another config or other data.
      DivergedError: naming the step whose loss is not finite.
      StoppedError: on Ctrl-C or SIGTERM, after saving.
    """
    return train({workdir: config}, dataset, progress=progress, save_every=save_every, data_on=data_on)[0]


def train(
    members: dict[Path, Config],
    dataset: Dataset,
    *,
    progress: bool = True,
    save_every: int = 0,
    data_on: DataOn = "auto",
) -> list[dict[str, Any]]:
    """Trains runs that differ in seed and γ together; each has its working directory and is as if alone, see `fit`.

    Those behind go first, until all stand at one step. One whose loss is not finite leaves; the others go on.

    Args:
      members: working directory → config.

    Returns:
      The best epoch's line of each.
    """
    with ExitStack() as stack:
        for workdir, config in members.items():
            stack.enter_context(claimed(workdir, config, dataset))
            write_environment(workdir)
        runs = [stack.enter_context(closing(Journal(config, dataset, workdir))) for workdir, config in members.items()]
        devices = jax.local_devices() if len(runs) > 1 else jax.local_devices()[:1]
        programs = Programs(runs[0].config, dataset, devices[: len(runs)])
        for run in runs:
            run.open(programs)
        if not all(run.standing.finished for run in runs):
            resident = data_on == "device" or (data_on == "auto" and fits(dataset, programs.samples, devices[0]))
            data: Data = stack.enter_context(
                closing(ResidentData(programs, dataset) if resident else StreamedData(programs, dataset))
            )
            bar = stack.enter_context(closing(Bar(runs, programs.per_epoch, programs.total, progress=progress)))
            _Loop(programs, dataset, data, bar, resident=resident, save_every=save_every).go(runs)
        return [run.standing.best_record for run in runs]


class _Loop:
    def __init__(
        self, programs: Programs, dataset: Dataset, data: Data, bar: Bar, *, resident: bool, save_every: int
    ) -> None:
        self._programs, self._parts, self._data, self._bar = programs, dataset, data, bar
        self._resident, self._save_every = resident, save_every
        self._validation = Validation(programs, dataset)
        self._diverged: list[tuple[Journal, DivergedError]] = []
        self._pace = 1
        self._begun = time.monotonic()
        self._waited = 0.0

    def go(self, runs: Sequence[Journal]) -> None:
        """Trains to the end all that are not finished."""
        running = [run for run in runs if not run.standing.finished]
        with stop_requests() as stop:
            while running:
                crew = Crew(running, self._programs, self._data, resident=self._resident)
                # A smaller program must be compiled first: it pays when half of the members are done.
                while running and crew.slots < 2 * self._programs.slots(len(running)):
                    running = self._advance(crew, running, stop)
                crew.dismiss(running)
        if self._diverged:
            raise _all_diverged(self._diverged)

    def _advance(self, crew: Crew, running: list[Journal], stop: Any) -> list[Journal]:
        """A number of steps of those behind, and what is due after them; gives back those still running."""
        step = min(run.step for run in running)
        active = [run for run in running if run.step == step]
        count = self._steps(step, [run.step for run in running if run.step > step])
        since = time.monotonic()
        crew.advance(active, count)
        self._pace = _pace(self._pace, count, time.monotonic() - since)
        for run in list(active):
            try:
                check(run.losses)
            except DivergedError as error:
                self._diverged.append((run, error))
                active.remove(run)
                running = [one for one in running if one is not run]
        self._bar.step(step + count, active)
        ended = (step + count) % self._programs.per_epoch == 0
        if active and ended:
            self._end_epoch(crew, active)
        elif stop.requested or (self._save_every and (step + count) % self._save_every == 0):
            for run in active:
                run.save_within(crew.state(run))
        running = [run for run in running if not run.standing.finished]
        if stop.requested and running:
            raise StoppedError(
                f"stopped at step {step + count} of {self._programs.total} and saved; the same command goes on from "
                "there"
            )
        return running

    def _steps(self, step: int, others: list[int]) -> int:
        """How many steps to make at once: to the epoch's end, a checkpoint or the others' step at most."""
        ends = [self._programs.per_epoch - step % self._programs.per_epoch, *(other - step for other in others)]
        if self._save_every:
            ends.append(self._save_every - step % self._save_every)
        return min(self._pace, *ends)

    def _end_epoch(self, crew: Crew, active: Sequence[Journal]) -> None:
        """Validates, logs and saves."""
        step, per_epoch = active[0].step, self._programs.per_epoch
        seconds, begun = time.monotonic() - self._begun, time.monotonic()
        found = crew.probabilities(self._validation, active)
        validated = [figures(self._parts, probabilities) for probabilities in found]
        clocks = {
            "seconds": seconds,
            "validation_seconds": time.monotonic() - begun,
            "waited_seconds": self._data.waited - self._waited,
        }
        self._begun, self._waited = time.monotonic(), self._data.waited
        learning_rate = self._programs.rate(step - 1)
        for run, (summary, thresholds) in zip(active, validated, strict=True):
            record = {
                "epoch": step // per_epoch,
                "step": step,
                **run.means(per_epoch),
                "learning_rate": learning_rate,
                **summary,
                **clocks,
            }
            run.end_epoch(crew.state(run), record, thresholds)
            self._bar.epoch(run, record)


def _pace(before: int, count: int, seconds: float) -> int:
    """Steps until the host looks up again, after `count` of them took so long (the first ones with compiling)."""
    wanted = int(LOOK_UP_SECONDS * count / max(seconds, 1e-9))
    return max(1, min(wanted, 4 * before))


def _all_diverged(diverged: list[tuple[Journal, DivergedError]]) -> DivergedError:
    return DivergedError("\n".join(f"{run.workdir}: {error}" for run, error in diverged))
