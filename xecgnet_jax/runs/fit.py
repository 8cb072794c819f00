"""Training as a notebook calls it: a config and a dataset → the trained run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.signals import signal_spec
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.runs.predictions import kept_split, knows_beginning, made_with, rows_of
from xecgnet_jax.terminal import warn
from xecgnet_jax.training import loop
from xecgnet_jax.training.checkpoint import FOLDER
from xecgnet_jax.training.feed import DataOn
from xecgnet_jax.training.initial import Initial
from xecgnet_jax.training.progress import Record


def fit(
    config: Config,
    dataset: Dataset,
    workdir: str | Path,
    *,
    on_epoch: Callable[[Record], object] | None = None,
    profile: Path | None = None,
    progress: bool = True,
    save_every: int = 0,
    data_on: DataOn = "auto",
    devices: int = 0,
    go_on_from: int | None = None,
    step_timeout: float = loop.STEP_TIMEOUT,
) -> Run:
    """Trains, or goes on with the run that `workdir` holds, and returns the run at its best epoch.

    The arguments are those of `training.loop.fit`, whose `initial` is read here (`config.init`).

    Raises:
      CheckpointError, ConfigError, DivergedError, StoppedError: as `training.loop.fit`.
    """
    loop.fit(
        config,
        dataset,
        Path(workdir),
        on_epoch=on_epoch,
        profile=profile,
        progress=progress,
        save_every=save_every,
        data_on=data_on,
        devices=devices,
        go_on_from=go_on_from,
        step_timeout=step_timeout,
        initial=initial_weights(config, dataset, [Path(workdir)]),
    )
    return load_run(workdir)


def initial_weights(config: Config, dataset: Dataset, workdirs: Iterable[Path]) -> Initial | None:
    """Returns the weights that `config.init` names, None where it names none or all runs have a checkpoint already.

    Where they were made with recordings or patients of the dataset's validation or test part, a line on stderr says so.

    Raises:
      CheckpointError: they cannot be read.
      ConfigError: they are of a network, or for signals, of another kind.
    """
    if not config.init or all(any((path / FOLDER).glob("[0-9]*")) for path in workdirs):
        return None
    run, wanted = load_run(config.init), signal_spec(config.data)
    if run.signals != wanted:
        raise ConfigError(
            f"init {config.init}: these weights are for {run.signals}, the settings say {wanted}; leave out --rate and "
            "--filter, or begin with other weights"
        )
    for name in ("activation", "pools"):
        theirs, ours = getattr(run.config.model, name), getattr(config.model, name)
        if theirs != ours:
            raise ConfigError(f"init {config.init}: these weights were trained with {name} {theirs}, not {ours}")
    split = kept_split(run)
    _, known = made_with(run, split)
    seen = rows_of(known, dataset.pack)
    for part in ("validation", "test"):
        if number := int(np.isin(getattr(dataset, part), seen).sum()):
            warn(
                f"WARNING: {number} recordings of the {part} part, or their patients, were in the training or "
                f"validation part of {run.title}: scores on them are too high"
            )
    says_which = split is not None and knows_beginning(run)
    return Initial(run.title, run.digest(), run.vocabulary, run.variables, known if says_which else None)
