"""fit(): the whole loop of a run, where data, engine, checkpoints and the terminal meet."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.errors import StoppedError
from xecgnet_jax.evaluation.inference import predict_recordings
from xecgnet_jax.evaluation.metrics import apply_thresholds, none_if_nan, ranking_metrics, summarize
from xecgnet_jax.evaluation.platt import Calibration, fit_calibration
from xecgnet_jax.evaluation.thresholds import Thresholds, best_f1, best_subset
from xecgnet_jax.model import collapse
from xecgnet_jax.training.engine import Engine, choose_devices
from xecgnet_jax.training.feed import DataOn, make_feed
from xecgnet_jax.training.hosts import ALONE, COMPILING, agreement, is_first, watchdog
from xecgnet_jax.training.initial import Initial
from xecgnet_jax.training.progress import Progress, ProgressBar, Record
from xecgnet_jax.training.state import TrainState, Variables
from xecgnet_jax.training.step import RunningMetrics, check_finite, zero_metrics
from xecgnet_jax.training.surroundings import fixed_arithmetic
from xecgnet_jax.training.workdir import RunDirectory

#: The host looks at the losses about this often: for the progress bar, and for those that are not finite.
LOOK_UP_SECONDS = 2.0
#: Steps given to the device at most beside the one under way: it never waits for the host, and few batches are held.
LAG = 2
#: A profile begins behind this step of the process (the first compiles), and ends behind that one.
PROFILED = (2, 7)
#: Ctrl-C, and what schedulers send before they take the computer away; Windows lacks some.
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
#: Seconds without a step after which one of several processes takes another for hanging.
STEP_TIMEOUT = 60.0
STOPPED = "stopped at step {} of {} and saved; the same command goes on from there"


@fixed_arithmetic()
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
    initial: Initial | None = None,
    engine: Engine | None = None,
    go_on_from: int | None = None,
    step_timeout: float = STEP_TIMEOUT,
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
      devices: how many of this computer's devices share each batch; 0: all. Several processes that have joined
        (`hosts.join`) share all that they see; they all return the record, the first one writes and calls `on_epoch`.
      initial: the weights that `config.init` names, see `runs.fit.initial_weights`.
      go_on_from: step of the checkpoint to go on from, where the latest is damaged; later ones are removed. None: the
        latest.
      engine: of a config that differs in seed, γ and patience only, on the same data, so that nothing is compiled
        again; its devices and first weights are taken.
      step_timeout: seconds without a step after which each of several processes ends, see `hosts.watchdog`.

    Raises:
      CheckpointError: `workdir` holds a run of another config or other data, or its checkpoint is damaged.
      ConfigError: there are fewer devices, or dataset or engine were made with other settings.
      DivergedError: naming the step whose loss is not finite.
      StoppedError: on Ctrl-C, SIGTERM or SIGUSR1, after saving: all processes at one step.
    """
    dataset.check_made_for(config.data)
    if engine is not None:
        engine.check_made_for(config)
    on_devices = choose_devices(devices) if engine is None else engine.devices
    initial = initial if engine is None else engine.initial
    with ExitStack() as stack:
        directory = stack.enter_context(RunDirectory(Path(workdir), config, dataset, on_devices, initial, go_on_from))
        stops = agreement(stack.enter_context(stop_requests()))
        engine = engine or Engine(config, dataset, on_devices, initial)
        state, step, run = directory.restore(engine)
        if state is None:
            return run.best_record
        feed = stack.enter_context(closing(make_feed(engine, dataset, data_on)))
        show_bar = progress and is_first()
        bar = stack.enter_context(
            closing(ProgressBar(directory.name, step, engine.per_epoch, engine.total, directory.latest_f1, show_bar))
        )
        alive = stack.enter_context(watchdog(step_timeout))
        alive(COMPILING)
        profiling = stack.enter_context(ExitStack())
        first = step
        seed, gamma = np.uint32(config.seed), np.float32(config.objective.gamma)
        while not run.finished:
            epoch_began, waited = time.monotonic(), feed.waited
            metrics, last_look = engine.place(zero_metrics(run.sums)), epoch_began
            pending: deque[jax.Array] = deque()
            for inputs in feed.rest_of_epoch(config.seed, step):
                state, metrics = engine.step(state, metrics, inputs, seed, gamma)
                step += 1
                if profile and step - first == PROFILED[0]:
                    profiling.enter_context(jax.profiler.trace(str(profile)))
                elif step - first == PROFILED[1]:
                    profiling.close()
                pending.append(metrics.diverged)
                if len(pending) > LAG:
                    pending.popleft().block_until_ready()
                    alive()
                ended, stopping = step % engine.per_epoch == 0, stops(metrics.diverged, step)
                saves = not ended and (stopping or (save_every > 0 and step % save_every == 0))
                if ended or saves or time.monotonic() - last_look >= LOOK_UP_SECONDS:
                    metrics_now: RunningMetrics = jax.device_get(metrics)
                    check_finite(metrics_now)
                    bar.show_step(step, float(metrics_now.latest["loss"]))
                    last_look = time.monotonic()
                if saves:
                    alive(ALONE)
                    directory.save(engine.snapshot(state), run.within_epoch(metrics_now.sums))
                    if stopping:
                        raise StoppedError(STOPPED.format(step, engine.total))
            clocks = {"seconds": time.monotonic() - epoch_began, "waited_seconds": feed.waited - waited}
            snapshot = engine.snapshot(state)
            compiling = COMPILING if step - first <= engine.per_epoch else 0.0
            run, record = end_epoch(engine, directory, run, snapshot, metrics_now, clocks, alive, compiling)
            bar.show_epoch(record)
            if on_epoch is not None and is_first():
                directory.wait()
                on_epoch(record)
            if stops(metrics.diverged, 0) and not run.finished:
                raise StoppedError(STOPPED.format(step, engine.total))
            alive()
        return run.best_record


def end_epoch(
    engine: Engine,
    directory: RunDirectory,
    run: Progress,
    state: TrainState,
    metrics: RunningMetrics,
    clocks: dict[str, float],
    alive: Callable[[float], None] = lambda more: None,
    compiling: float = 0.0,
) -> tuple[Progress, Record]:
    """Validates, commits the epoch to the run's directory, and returns the run's progress and the epoch's record.

    Args:
      engine, directory, run: of the run; its progress before the epoch.
      state: after the epoch, in buffers that no step is given.
      metrics: of the epoch, as NumPy scalars.
      clocks: seconds by name, for the record.
      alive: called after each batch, and before what the first process does alone, see `hosts.watchdog`.
      compiling: seconds more that a batch may take.
    """
    began, step = time.monotonic(), int(state.step)
    alive(compiling)
    ended_batch = partial(alive, compiling)
    validation, thresholds, calibration = validate(engine, state.eval_variables, directory.dataset, ended_batch)
    alive(ALONE)
    record = {
        "epoch": step // engine.per_epoch,
        "step": step,
        **{name: float(value) / engine.per_epoch for name, value in metrics.sums.items()},
        "learning_rate": float(engine.learning_rate(np.int32(step - 1))),
        **validation,
        **clocks,
        "validation_seconds": time.monotonic() - began,
    }
    after = run.after_epoch(record, directory.config)
    directory.commit(state, after, record, thresholds, calibration)
    return after, record


def validate(
    engine: Engine, variables: Variables, dataset: Dataset, alive: Callable[[], None] = lambda: None
) -> tuple[dict[str, float | None], dict[str, Thresholds], Calibration]:
    """Returns the metrics of the validation part, the thresholds that do best on it, by name, and the calibration.

    Recordings count as the dataset weighs them. A class that the corpus does not annotate keeps 0.5, uncalibrated.
    """
    pack, rows, columns = dataset.pack, dataset.validation, dataset.pack.columns
    labels, weights = pack.labels[rows][:, columns], dataset.weights[rows]
    probabilities = predict_recordings(
        engine.predict,
        engine.place(collapse(engine.model, variables).variables),
        lambda position: pack.signal(int(rows[position])),
        pack.lengths[rows],
        spec=engine.spec,
        normalization=dataset.normalization,
        batch_size=engine.config.batch_size,
        progress=lambda _: alive(),
    ).probabilities[:, columns]
    found = summarize(labels, apply_thresholds(probabilities), weights)
    found["micro_f1"] = found["micro_f1"] or 0.0  # of nothing true and nothing predicted
    found["macro_auroc"] = none_if_nan(ranking_metrics(labels, probabilities, weights[None])["macro_auroc"][0])
    classes = len(pack.classes)
    chosen = (best_f1(labels, probabilities, weights), best_subset(labels, probabilities, weights))
    calibration = fit_calibration(labels, probabilities, weights).for_all_classes(columns, classes)
    return (
        {f"validation_{name}": value for name, value in found.items()},
        {one.name: one.for_all_classes(columns, classes) for one in chosen},
        calibration,
    )


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turns the first SIGINT, SIGTERM or SIGUSR1 into a request to stop; a second one acts as ever."""
    stop = threading.Event()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: Any) -> None:
        stop.set()
        restore()

    with suppress(ValueError):  # not the main thread: it alone may set handlers, and only it is asked to stop
        for number in STOPPING:
            before[number] = signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
