"""Seeds × values of γ as one program: each member a run of its own, with its own working directory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.errors import ConfigError, DivergedError
from xecgnet_jax.training.loop import DataOn, train
from xecgnet_jax.training.workdir import check_config


def members_of(config: Config, seeds: Sequence[int], gammas: Sequence[float], folder: Path) -> dict[Path, Config]:
    """Working directory → config, for each seed with each γ: FOLDER/seed0-gamma0.01.

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
    for gamma in gammas:
        for seed in seeds:
            objective = dataclasses.replace(config.objective, gamma=float(gamma))
            member = dataclasses.replace(config, seed=seed, objective=objective)
            workdir = folder / f"seed{seed}-gamma{repr(float(gamma)).removesuffix('.0')}"
            check_config(workdir, member)
            members[workdir] = member
    return members


def sweep(
    members: dict[Path, Config],
    dataset: Dataset,
    *,
    at_once: int = 0,
    progress: bool = True,
    save_every: int = 0,
    data_on: DataOn = "auto",
) -> dict[Path, dict[str, Any]]:
    """Trains members, or goes on with them: working directory → its best epoch's line of metrics.jsonl.

    Args:
      members: see `members_of`.
      at_once: members in a program at most; 0: all. Fewer need less memory.
      progress, save_every, data_on: see `fit`, which also tells what is raised.

    Raises:
      DivergedError: of all members whose loss was not finite, after the others were trained to their end.
    """
    workdirs = list(members)
    size = at_once or len(workdirs)
    best: dict[Path, dict[str, Any]] = {}
    diverged: list[str] = []
    for first in range(0, len(workdirs), size):
        some = workdirs[first : first + size]
        try:
            records = train(
                {workdir: members[workdir] for workdir in some},
                dataset,
                progress=progress,
                save_every=save_every,
                data_on=data_on,
            )
        except DivergedError as error:
            diverged.append(str(error))
        else:
            best |= dict(zip(some, records, strict=True))
    if diverged:
        raise DivergedError("\n".join(diverged))
    return best
