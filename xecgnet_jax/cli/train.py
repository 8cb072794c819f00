"""`xecgnet train`: the command line → a trained run."""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

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
    pack_share_of,
)
from xecgnet_jax.config import PRESETS, Config, differences, read_config_file
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.terminal import say, warn


@dataclass(frozen=True)
class Running:
    #: Also save a checkpoint after this many steps; 0: after each epoch only.
    save_every: int = 0
    #: Where the training recordings are meanwhile: in the device's memory, or gathered from the host's disk batch by
    #: batch; auto: on the device where they fit. The batches are the same.
    data_on: Literal["auto", "device", "host"] = "auto"
    #: How many of this computer's devices (GPUs) are used; 0: all.
    devices: int = 0
    #: Show a progress bar (a line per epoch where the output is no terminal).
    progress: bool = True


@dataclass(frozen=True)
class Hosts:
    #: One run in several processes: this command is started once for each, by srun, by mpirun or on each host of a TPU
    #: pod. All see the same --workdir, corpus and --cache.
    distributed: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    #: Where no cluster tells: the address of the first process.
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint="")] = None
    #: Likewise: how many processes there are.
    processes: OptionalNumber = None
    #: Likewise: the number of this process, from 0.
    process: OptionalNumber = None
    #: Seconds without a step after which a process takes another for hanging, and ends.
    step_timeout: float = 60.0

    def join(self) -> None:
        """Joins this process with the others of the run, of which the first one prints.

        Raises:
          ConfigError: options contradict each other, or the others cannot be found.
        """
        named = [self.coordinator, self.processes, self.process]
        if not self.distributed:
            if named != [None] * 3:
                raise ConfigError("--coordinator, --processes and --process belong to --distributed")
            return
        if not self.step_timeout > 0:
            raise ConfigError(f"step_timeout is {self.step_timeout:g}; possible: more than 0 (seconds)")
        from xecgnet_jax.training import hosts

        hosts.join(self.coordinator, self.processes, self.process)
        if not hosts.is_first():
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (until the process ends)


@dataclass(frozen=True)
class Beginning:
    """The options that decide what all others begin with."""

    preset: str | None = None
    config: Path | None = None
    workdir: Path | None = None
    data: Path | None = None
    simulate: int | None = None
    init: str = ""
    resume: bool = False


@dataclass(frozen=True)
class Train:
    """Train xECGNet on a corpus, or go on with a run."""

    #: Where the settings begin: quick (a small network, minutes on two cores), fast (half the authors' width, with what
    #: trains well), large (for ten thousand recordings or more, at 100 Hz), paper-pad or paper-crop (as published).
    #: Without --data: quick.
    preset: OptionalPreset = None
    #: JSON or TOML with settings, also the config.json of a run. They count more than the preset's, and less than
    #: options.
    config: OptionalFile = None
    #: Folder of the run: config, checkpoints, metrics. By default runs/PRESET.
    workdir: OptionalFolder = None
    #: Go on with the run in --workdir, with the settings it holds; an error where there is none. The command that began
    #: a run goes on with it, too.
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    #: Step of the checkpoint to go on from, where the latest is damaged; later ones are removed.
    step: OptionalNumber = None
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    running: Running = field(default_factory=Running)
    #: Only make the pack of the corpus, and end. K/N: only read the K-th of N shares of it, in a job of its own; all:
    #: join what the shares have, and read the rest.
    pack_only: Annotated[str | None, tyro.conf.arg(metavar="{all,K/N}", help_behavior_hint="")] = None
    #: Folder for a profile of five steps, for TensorBoard or Perfetto.
    profile: OptionalFolder = None
    hosts: Hosts = field(default_factory=Hosts)
    settings: Config = field(default_factory=Config)

    def run(self) -> None:
        """Trains, and prints the best epoch and the command that scores it."""
        running, folder = self.running, self.workdir or Path("runs") / default_name(self.preset, self.config)
        check_arguments(self.corpus, {"save_every": (running.save_every, 0), "devices": (running.devices, 0)}, folder)
        if self.pack_only is not None:
            if self.hosts.distributed:
                raise ConfigError("--pack-only is for jobs of their own, without --distributed")
            if self.pack_only == "all":
                open_pack_of(self.corpus, self.settings.data, running.progress)
            else:
                pack_share_of(self.corpus, self.settings.data, self.pack_only, running.progress)
            return
        from xecgnet_jax.training.workdir import check_config

        check_config(folder, self.settings)
        keep_compiled(self.corpus.cache)
        self.hosts.join()
        from xecgnet_jax.data.dataset import make_dataset
        from xecgnet_jax.runs.fit import initial_weights
        from xecgnet_jax.training.hosts import first_alone
        from xecgnet_jax.training.loop import fit
        from xecgnet_jax.training.progress import describe_best

        with first_alone():  # it packs what is not packed yet
            pack = open_pack_of(self.corpus, self.settings.data, running.progress)
        dataset = make_dataset(pack, self.settings.data)
        say(dataset.summary())
        initial = initial_weights(self.settings, dataset, [folder])
        more: dict[str, Any] = {"profile": self.profile, "initial": initial, "go_on_from": self.step}
        more["step_timeout"] = self.hosts.step_timeout
        best = fit(self.settings, dataset, folder, **more, **vars(running))
        say(
            f"{describe_best(best, self.settings)}\n"
            f"run: {folder}\n"
            f"score it: {command_line('evaluate', [str(folder)], self.corpus)}"
        )


def train_defaults(words: list[str]) -> Train:
    """Returns what the options of `xecgnet train` begin with, by those of `Beginning` among the words.

    Raises:
      ConfigError: a run to go on with has no config, or see `starting_config`.
    """
    beginning = read_beginning(words)
    if beginning.resume:
        from xecgnet_jax.training.workdir import read_config

        if beginning.workdir is None:
            raise ConfigError("--resume needs --workdir: the folder of the run to go on with")
        held = read_config(beginning.workdir)
        if beginning.preset is None and beginning.config is None:
            return Train(settings=held)
    return Train(settings=starting_config(beginning))


def read_beginning(words: list[str]) -> Beginning:
    """Returns the options that all others begin with, and leaves the others to be parsed after them."""
    parsed: Any = tyro.cli(Beginning, args=words, return_unknown_args=True, add_help=False)
    beginning: Beginning = parsed[0]
    return beginning


def starting_config(beginning: Beginning) -> Config:
    """Returns the settings to begin with: the quick preset where nothing is named.

    Nothing is trained on simulated recordings that was not meant to be, and no corpus with the settings of the demo.

    Raises:
      ConfigError: a corpus without settings, settings without a corpus, or a file that cannot be read.
    """
    name = beginning.preset
    if beginning.data is not None and name is None and beginning.config is None:
        raise ConfigError(
            f"--data needs --preset NAME or --config FILE, the settings to begin with; presets: {', '.join(PRESETS)}"
        )
    if name in PRESETS and name != "quick" and beginning.data is None and beginning.simulate is None:
        raise ConfigError(
            f"--preset {name} is for a corpus: give --data FOLDER, or --simulate N to train on N simulated recordings"
        )
    base = PRESETS.get(name or "quick", Config())  # an unknown name is refused where all options are parsed
    if beginning.config is not None:
        base = read_config_file(beginning.config, base if name else None)
    return with_network_of(beginning.init, base) if beginning.init else base


def with_network_of(weights: str, config: Config) -> Config:
    """Returns the settings with the network, and the rate and filter of its signals, that weights were trained with.

    Raises:
      CheckpointError: there are no such weights.
    """
    from xecgnet_jax.runs.load import describe_run

    held = describe_run(weights).config
    data = dataclasses.replace(config.data, rate=held.data.rate, filter=held.data.filter)
    gamma = config.objective.gamma if held.model.attention else 0.0
    objective = dataclasses.replace(config.objective, gamma=gamma)
    changed = dataclasses.replace(config, model=held.model, data=data, objective=objective)
    if taken := differences(config, changed):
        warn(f"as the weights of {weights} have it: {', '.join(taken)}")
    return changed


def default_name(preset: str | None, config: Path | None) -> str:
    """Returns the name of a run's folder where none is given."""
    return preset or (config.stem if config else "quick")
