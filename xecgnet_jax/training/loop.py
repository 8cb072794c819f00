"""fit(): where data, steps, checkpoints and logs meet."""

from __future__ import annotations

import dataclasses
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.config import Config, window_length
from xecgnet_jax.data.batches import Batch, gather, plan, steps_per_epoch, whole_bins, window_samples
from xecgnet_jax.data.parts import Parts
from xecgnet_jax.errors import StoppedError
from xecgnet_jax.evaluation.metrics import count, predicted, summarise
from xecgnet_jax.evaluation.predict import make_predict, predict_recordings
from xecgnet_jax.evaluation.thresholds import Thresholds, best_f1, best_subset
from xecgnet_jax.model import BIN
from xecgnet_jax.training.checkpoint import Checkpoints
from xecgnet_jax.training.description import Description, Progress
from xecgnet_jax.training.log import Log, versions, write_environment
from xecgnet_jax.training.losses import Losses
from xecgnet_jax.training.state import TrainState, build_model, build_optimiser, init_state, learning_rate
from xecgnet_jax.training.step import positive_weights, train_step
from xecgnet_jax.training.stopping import stop_requests
from xecgnet_jax.training.workdir import claimed


def fit(config: Config, parts: Parts, workdir: Path, *, progress: bool = True, save_every: int = 0) -> dict[str, Any]:
    """Trains, or goes on with the run that `workdir` holds, and gives back its best epoch's line of metrics.jsonl.

    A run is a function of (config, data, seed, step): one that was killed and goes on ends with the same bits as
    one that was not.

    Args:
      config: of the run.
      parts: the recordings.
      workdir: made where it is missing; gets config.json, environment.json, metrics.jsonl, tensorboard/, checkpoints/.
      progress: show a progress bar.
      save_every: also save a checkpoint after this many steps; 0: after each epoch only.

    Raises:
      CheckpointError: `workdir` holds a run of another config or other data.
      DivergedError: naming the step whose loss is not finite.
      StoppedError: on Ctrl-C or SIGTERM, after saving.
    """
    with claimed(workdir, config, parts):
        write_environment(workdir)
        checkpoints = Checkpoints(workdir)
        try:
            return _fit(config, parts, workdir, checkpoints, progress=progress, save_every=save_every)
        finally:
            checkpoints.close()


def make_batch(config: Config, parts: Parts, step: int) -> Batch:
    """The batch of a step, gathered on the host: a pure function of (config, data, step)."""
    lengths = parts.pack.lengths[parts.train]
    samples = window_samples(config.data.window, window_length(config.data), lengths)
    chosen = plan(config.seed, step, lengths, batch_size=config.batch_size, window=config.data.window, samples=samples)
    recordings = parts.train[chosen.recordings]
    signal, inside = gather(parts.pack.signal, recordings, chosen.starts, samples, parts.standardisation)
    # All bins real, whatever the step: no mask, and none of its cost.
    masked = config.data.window == "whole" and np.any(whole_bins(lengths) * BIN < samples)
    labels = parts.pack.labels[recordings].astype(np.float32)
    return Batch(signal, labels, chosen.weights, chosen.bins if masked else None, inside)


def _fit(
    config: Config, parts: Parts, workdir: Path, checkpoints: Checkpoints, *, progress: bool, save_every: int
) -> dict[str, Any]:
    per_epoch = steps_per_epoch(len(parts.train), config.batch_size)
    total = per_epoch * config.epochs
    optimiser = build_optimiser(config.optimiser, config.epochs, per_epoch)
    rate = learning_rate(config.optimiser, config.epochs, per_epoch)
    model = build_model(config.model, len(parts.pack.classes))
    fresh = partial(init_state, config, len(parts.pack.classes), optimiser)
    seed = jnp.uint32(config.seed)
    state, standing = _restore(checkpoints, lambda: jax.jit(fresh)(seed))
    weights = positive_weights(config.objective, parts.pack.labels[parts.train])
    advance = jax.jit(
        partial(
            train_step,
            apply=model.apply,
            optimiser=optimiser,
            config=config,
            weights_of_positives=None if weights is None else jnp.asarray(weights),
        ),
        donate_argnums=0,
    )
    predict = make_predict(model.apply)

    about = (config, parts.pack.classes, parts.standardisation, parts.description(), versions())

    def describe(standing: Progress, thresholds: dict[str, Thresholds] | None = None) -> dict[str, Any]:
        return Description(*about, standing, thresholds).to_json()

    first = int(state.step)
    log = Log(workdir, step=first, total=total, epochs=config.epochs, progress=progress)
    losses = Losses(standing.losses)
    begun = time.monotonic()
    try:
        with stop_requests() as stop:
            step = first
            while not standing.finished:
                epoch, within = divmod(step, per_epoch)
                state, metrics = advance(state, make_batch(config, parts, step), seed)
                losses.add(step, metrics)
                step += 1
                log.step(epoch, losses.latest)
                ended = within + 1 == per_epoch
                if ended:
                    means = losses.take(per_epoch)
                    seconds, begun = time.monotonic() - begun, time.monotonic()
                    summary, thresholds = _validate(predict, state, parts, config)
                    record = {
                        "epoch": epoch + 1,
                        "step": step,
                        **means,
                        "learning_rate": float(rate(step - 1)),
                        **summary,
                        "seconds": seconds,
                        "validation_seconds": time.monotonic() - begun,
                    }
                    begun = time.monotonic()
                    standing = _progressed(standing, record, config)
                    log.epoch(record)
                    checkpoints.save(state, describe(standing, thresholds), record["validation_micro_f1"])
                elif stop.requested or (save_every and step % save_every == 0):
                    standing = dataclasses.replace(standing, losses=losses.sums())
                    checkpoints.save(state, describe(standing), None)
                if stop.requested and not standing.finished:
                    raise StoppedError(
                        f"stopped at step {step} of {total} and saved; the same command goes on from there"
                    )
    finally:
        log.close()
    return standing.best_record


def _restore(checkpoints: Checkpoints, fresh: Any) -> tuple[TrainState, Progress]:
    step = checkpoints.latest()
    if step is None:
        return fresh(), Progress()
    description = checkpoints.description(step)
    if changed := [name for name, version in versions().items() if description.versions.get(name) != version]:
        print(f"other versions than the run was begun with: {', '.join(changed)}; bits may differ", file=sys.stderr)
    return checkpoints.state(step, jax.eval_shape(fresh)), description.progress


def _progressed(standing: Progress, record: dict[str, Any], config: Config) -> Progress:
    """The standing after an epoch."""
    f1, epoch = record["validation_micro_f1"], record["epoch"]
    better = f1 > standing.best
    if better:
        standing = Progress(best=f1, best_epoch=epoch, best_record=record)
    patience_lost = config.patience > 0 and epoch - standing.best_epoch >= config.patience
    return dataclasses.replace(standing, losses={}, finished=epoch >= config.epochs or patience_lost)


def _validate(
    predict: Any, state: TrainState, parts: Parts, config: Config
) -> tuple[dict[str, float | None], dict[str, Thresholds]]:
    """The figures of the validation part, and the thresholds that do best on it."""
    probabilities, _ = predict_recordings(
        predict,
        state.best,
        lambda position: parts.pack.signal(int(parts.validation[position])),
        parts.pack.lengths[parts.validation],
        window=config.data.window,
        length=window_length(config.data),
        standardisation=parts.standardisation,
        batch_size=config.batch_size,
    )
    labels = parts.pack.labels[parts.validation]
    summary = summarise(count(labels, predicted(probabilities)), parts.pack.classes)
    figures = {
        "validation_micro_f1": summary["micro"]["f1"] or 0.0,
        "validation_macro_f1": summary["macro"]["f1"],
        "validation_subset_accuracy": summary["subset_accuracy"]["all"]["accuracy"],
        "validation_multi_label_subset_accuracy": summary["subset_accuracy"]["multi_label"]["accuracy"],
    }
    chosen = (best_f1(labels, probabilities), best_subset(labels, probabilities))
    return figures, {one.name: one for one in chosen}
