"""The working directory: one folder, one run, one process at a time."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xecgnet_jax.config import Config, differences, from_dict, to_dict
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.splits import write_split
from xecgnet_jax.errors import CheckpointError, ConfigError
from xecgnet_jax.files import write_json

CONFIG = "config.json"
DATA = "data.json"
SPLIT = "split.csv"


@contextmanager
def claimed(workdir: Path, config: Config, dataset: Dataset) -> Iterator[None]:
    """Holds a working directory for a run: writes what it is of, or checks that it is of the same.

    Raises:
      CheckpointError: it holds a run of another config or other data, or another process trains in it.
    """
    check_config(workdir, config)
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system, however the process ends
        except BlockingIOError:
            raise CheckpointError(f"{workdir}: another process is training here; wait for it or stop it") from None
        check_data(workdir, dataset.description())
        write_json(workdir / CONFIG, to_dict(config))
        write_json(workdir / DATA, dataset.description())
        write_split(workdir / SPLIT, dataset.split)
        yield


def check_config(workdir: Path, config: Config) -> None:
    """Raises CheckpointError where the folder holds a run of another config."""
    if not (workdir / CONFIG).exists():
        return
    if changed := differences(read_config(workdir), config):
        raise CheckpointError(
            f"{workdir} holds a run of another config ({'; '.join(changed)}); choose another --workdir, or give the "
            "settings it was begun with"
        )


def check_data(workdir: Path, description: dict[str, Any]) -> None:
    """Raises CheckpointError where the folder holds a run on other data than `Dataset.description` tells."""
    if not (workdir / DATA).exists():
        return
    held = _read_json(workdir / DATA)
    if changed := [name for name in description if held.get(name) != description[name]]:
        raise CheckpointError(
            f"{workdir} holds a run on other data ({', '.join(changed)} differ); give the corpus (--data) and split it "
            "was begun with, or another --workdir"
        )


def read_config(workdir: Path) -> Config:
    """The config of a working directory."""
    path = workdir / CONFIG
    if not path.exists():
        raise CheckpointError(f"{workdir}: no {CONFIG} there; give the working directory of a training run")
    try:
        return from_dict(_read_json(path))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}; restore the file or train anew elsewhere") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore it or train anew elsewhere") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no table of settings; restore it or train anew elsewhere")
    return value
