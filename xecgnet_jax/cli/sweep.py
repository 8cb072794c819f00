"""`xecgnet sweep`: the command line → several trained runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from xecgnet_jax.cli.common import (
    CorpusArguments,
    OptionalFile,
    OptionalFolder,
    OptionalNumber,
    OptionalPreset,
    check_arguments,
    command_line,
    keep_compiled,
    open_pack_of,
)
from xecgnet_jax.cli.train import Running, default_name, read_beginning, starting_config
from xecgnet_jax.config import Config
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.terminal import say


@dataclass(frozen=True)
class Sweep:
    """Train several seeds and values of gamma, or go on with them."""

    #: Where the settings begin, see xecgnet train.
    preset: OptionalPreset = None
    #: JSON or TOML with settings, see xecgnet train.
    config: OptionalFile = None
    #: A run for each of them with each of --gammas.
    seeds: tuple[int, ...] = (0, 1, 2)
    #: Weights of the alignment term; by default that of the settings.
    gammas: Annotated[tuple[float, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    #: Folder of the runs, which get a folder each: seed0-gamma0.01. By default runs/PRESET-sweep. Runs that are there
    #: are gone on with.
    workdir: OptionalFolder = None
    #: Runs that advance together at most, on GPUs; 0: all. Fewer need less memory.
    at_once: int = 0
    #: Number of the one run to train, from 0, as --dry-run lists them: for job arrays.
    member: OptionalNumber = None
    #: List the runs with their numbers and folders, and train nothing.
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    running: Running = field(default_factory=Running)
    settings: Config = field(default_factory=Config)

    def run(self) -> None:
        """Trains the runs, or lists them; prints their best epochs and the command that compares or scores them."""
        running = self.running
        folder = self.workdir or Path("runs") / f"{default_name(self.preset, self.config)}-sweep"
        for one, several, given in (
            ("--seed", "--seeds", self.settings.seed),
            ("--gamma", "--gammas", self.settings.objective.gamma),
        ):
            if given:
                raise ConfigError(f"{one} is of one run; a sweep takes {several}")
        least = {"save_every": running.save_every, "devices": running.devices, "at_once": self.at_once}
        check_arguments(self.corpus, {name: (value, 0) for name, value in least.items()}, folder)
        from xecgnet_jax.training.progress import describe_best
        from xecgnet_jax.training.sweep import make_members, sweep

        members = make_members(self.settings, self.seeds, self.gammas, folder)
        numbers = range(len(members)) if self.member is None else [self.member]
        if self.member is not None and self.member not in range(len(members)):
            raise ConfigError(f"member is {self.member}; possible: 0 to {len(members) - 1}, as --dry-run lists them")
        if self.dry_run:
            say(*(f"{number}  {list(members)[number]}" for number in numbers), sep="\n")
            return
        members = dict(list(members.items())[number] for number in numbers)
        keep_compiled(self.corpus.cache)
        from xecgnet_jax.data.dataset import make_dataset
        from xecgnet_jax.runs.fit import initial_weights

        dataset = make_dataset(open_pack_of(self.corpus, self.settings.data, running.progress), self.settings.data)
        initial = initial_weights(self.settings, dataset, members)
        say(f"{len(members)} runs: {dataset.summary()}")
        best = sweep(members, dataset, at_once=self.at_once, initial=initial, **vars(running))
        for workdir, record in best.items():
            say(f"{workdir}  {describe_best(record, self.settings)}")
        if self.member is None and (len(self.gammas) > 1 or len(members) == 2):
            say(f"compare them: {command_line('compare', list(map(str, members)), self.corpus)}")
        else:
            for workdir in members:
                say(f"score it: {command_line('evaluate', [str(workdir)], self.corpus)}")


def sweep_defaults(words: list[str]) -> Sweep:
    """Returns what the options of `xecgnet sweep` begin with; the settings' own seed and gamma are 0 there."""
    config = starting_config(read_beginning(words))
    objective = dataclasses.replace(config.objective, gamma=0.0)  # suits a model without attention, too
    return Sweep(gammas=(config.objective.gamma,), settings=dataclasses.replace(config, objective=objective, seed=0))
