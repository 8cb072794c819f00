"""Training as a notebook calls it: a config and a dataset → the trained run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.training import loop
from xecgnet_jax.training.feed import DataOn
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

    The arguments are those of `training.loop.fit`.

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
    )
    return load_run(workdir)
