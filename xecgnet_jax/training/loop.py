"""fit(): the whole loop of a run, where data, engine, checkpoints and the terminal meet."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.errors import StoppedError
from xecgnet_jax.training.engine import Engine, choose_devices
from xecgnet_jax.training.feed import DataOn, make_feed
from xecgnet_jax.training.profiling import Profile
from xecgnet_jax.training.progress import Progress, ProgressBar, Record
from xecgnet_jax.training.state import TrainState
from xecgnet_jax.training.step import RunningMetrics, check_finite, zero_metrics
from xecgnet_jax.training.validation import validate
from xecgnet_jax.training.workdir import RunDirectory

#: The host looks at the losses about this often: for the progress bar, and for those that are not finite.
LOOK_UP_SECONDS = 2.0
#: Steps given to the device at most beside the one under way: it never waits for the host, and few batches are held.
LAG = 2
STOPPED = "stopped at step {} of {} and saved; the same command goes on from there"


def fit(
    config: Config,
    dataset: Dataset,
    workdir: Path,
    *,
    on_epoch: Callable[[Record], object] | None = None,
    profile: Path | None = None,
    progress: bool = True,
    save_every: int = 0,
    data_on: DataOn = "auto",
    devices: int = 0,
    engine: Engine | None = None,
) -> Record:
    """Trains, or goes on with the run that `workdir` holds, and returns its best epoch's line of metrics.jsonl.

    A run is a function of (config, data, seed, step): one that was killed and goes on ends with the same bits as
    one that was not.

    Args:
      config: of the run.
      dataset: the recordings.
      workdir: made where it is missing; gets config.json, environment.json, metrics.jsonl, tensorboard/, checkpoints/.
      on_epoch: called with the line of metrics.jsonl of each epoch, once its checkpoint lies on the disk; never again
        when the run is taken up later. What it raises ends the run.
      profile: folder for a profile of five steps.
      progress: show a progress bar.
      save_every: also save a checkpoint after this many steps; 0: after each epoch only.
      data_on: where the training part's samples are. The batches are the same.
      devices: how many of this computer's devices share each batch; 0: all.
      engine: of a config that differs in seed and γ only, on the same data, so that nothing is compiled again.

    Raises:
      CheckpointError: `workdir` holds a run of another config or other data.
      ConfigError: there are fewer devices.
      DivergedError: naming the step whose loss is not finite.
      StoppedError: on Ctrl-C or SIGTERM, after saving.
    """
    on_devices = choose_devices(devices) if engine is None else engine.devices
    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(Path(workdir), config, dataset, on_devices))
        stop = stack.enter_context(stop_requests())
        engine = engine or Engine(config, dataset, on_devices)
        state, step, run = directory.restore(engine)
        if state is None:
            return run.best_record
        feed = stack.enter_context(closing(make_feed(engine, dataset, data_on)))
        bar = stack.enter_context(
            closing(ProgressBar(directory.name, step, engine.per_epoch, engine.total, directory.latest_f1, progress))
        )
        profiler = stack.enter_context(closing(Profile(profile))) if profile else None
        seed, gamma = np.uint32(config.seed), np.float32(config.objective.gamma)
        while not run.finished:
            epoch_began, waited = time.monotonic(), feed.waited
            metrics, looked = engine.place(zero_metrics(run.sums)), epoch_began
            under_way: deque[jax.Array] = deque()
            for inputs in feed.rest_of_epoch(config.seed, step):
                state, metrics = engine.step(state, metrics, inputs, seed, gamma)
                step += 1
                if profiler is not None:
                    profiler.after_step()
                under_way.append(metrics.diverged)
                if len(under_way) > LAG:
                    under_way.popleft().block_until_ready()
                ended = step % engine.per_epoch == 0
                saves = not ended and (stop.requested or (save_every > 0 and step % save_every == 0))
                if ended or saves or time.monotonic() - looked >= LOOK_UP_SECONDS:
                    metrics_now: RunningMetrics = jax.device_get(metrics)
                    check_finite(metrics_now)
                    bar.show_step(step, float(metrics_now.latest["loss"]))
                    looked = time.monotonic()
                if saves:
                    directory.save(engine.snapshot(state), run.within_epoch(metrics_now.sums))
                    if stop.requested:
                        raise StoppedError(STOPPED.format(step, engine.total))
            clocks = {"seconds": time.monotonic() - epoch_began, "waited_seconds": feed.waited - waited}
            kept = engine.snapshot(state)
            run, record = end_epoch(engine, dataset, directory, config, run, kept, metrics_now, clocks)
            bar.show_epoch(record)
            if on_epoch is not None:
                directory.wait()
                on_epoch(record)
            if stop.requested and not run.finished:
                raise StoppedError(STOPPED.format(step, engine.total))
        return run.best_record


def end_epoch(
    engine: Engine,
    dataset: Dataset,
    directory: RunDirectory,
    config: Config,
    run: Progress,
    state: TrainState,
    metrics: RunningMetrics,
    clocks: dict[str, float],
) -> tuple[Progress, Record]:
    """Validates, and commits the epoch to the run's directory.

    Args:
      engine, dataset, directory, config: of the run.
      run: its progress before.
      state: after the epoch, in buffers that no step is given.
      metrics: of the epoch, as NumPy scalars.
      clocks: seconds by name, for the record.

    Returns:
      (the run's progress after the epoch, the epoch's line of metrics.jsonl).
    """
    began, step = time.monotonic(), int(state.step)
    validation, thresholds = validate(engine, state.eval_variables, dataset)
    record = {
        "epoch": step // engine.per_epoch,
        "step": step,
        **{name: float(value) / engine.per_epoch for name, value in metrics.sums.items()},
        "learning_rate": engine.learning_rate(step - 1),
        **validation,
        **clocks,
        "validation_seconds": time.monotonic() - began,
    }
    after = run.after_epoch(record, config)
    directory.commit(state, after, record, thresholds)
    return after, record


class Stop:
    """Whether to stop."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into a request; a second one acts as ever."""
    stop = Stop()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: Any) -> None:
        stop.requested = True
        restore()

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, request)
    except ValueError:
        # Not the main thread: it alone may set handlers, and only it is asked to stop.
        before.clear()
    try:
        yield stop
    finally:
        restore()
