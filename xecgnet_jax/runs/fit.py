"""Training as a notebook calls it: a config and a dataset → the trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.signals import signal_spec
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.training import loop
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
) -> Run:
    """Trains, or goes on with the run that `workdir` holds, and returns the run at its best epoch.

    The arguments are those of `training.loop.fit`; weights that the config begins with are read here.

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
        initial=initial_weights(config),
    )
    return load_run(workdir)


def initial_weights(config: Config) -> Initial | None:
    """Returns the weights that `config.init` names, None where it names none.

    Raises:
      CheckpointError: they cannot be read.
      ConfigError: they are for signals of another rate or filter.
    """
    if not config.init:
        return None
    run, wanted = load_run(config.init), signal_spec(config.data)
    if run.signals != wanted:
        raise ConfigError(
            f"init {config.init}: these weights are for {run.signals}, the settings say {wanted}; leave out --rate and "
            "--filter, or begin with other weights"
        )
    return Initial(run.title, run.digest(), run.vocabulary, run.variables)
