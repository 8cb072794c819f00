"""xecgnet-train sweep: the command line → several trained runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xecgnet_jax.cli.common import CorpusArguments, check_arguments, describe, keep_compiled, pack, parse
from xecgnet_jax.cli.words import choose_preset, evaluate_command, take_preset
from xecgnet_jax.config import PRESETS, Config, preset
from xecgnet_jax.errors import ConfigError


@dataclass(frozen=True)
class SweepArguments:
    config: Config
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    seeds: tuple[int, ...] = (0, 1, 2)
    """A run for each of them with each of --gammas."""
    gammas: tuple[float, ...] = ()
    """Values of γ; default: the preset's."""
    workdir: Path | None = None
    """Folder of the runs, which get a folder each: seed0-gamma0.01. Default: runs/PRESET-sweep."""
    at_once: int = 0
    """Runs that advance together at most; 0: all. Fewer need less memory."""
    save_every: int = 0
    """Also save checkpoints after this many steps; 0: after each epoch only."""
    data_on: Literal["auto", "device", "host"] = "auto"
    """Where the training recordings are meanwhile: in the device's memory, or gathered from the host's disk batch by
    batch; auto: on the device where they fit. The batches are the same."""
    devices: int = 0
    """How many of this computer's devices (GPUs) are used; 0: all."""
    progress: bool = True
    """Show a progress bar (a line per epoch where the output is no terminal)."""


def run_sweep(words: list[str]) -> None:
    chosen, rest = take_preset(words)
    name = choose_preset(chosen, rest)
    for one, several in (("--seed", "--seeds"), ("--gamma", "--gammas")):
        if any(word == one or word.startswith(one + "=") for word in rest):
            raise ConfigError(f"{one} is of one run; a sweep takes {several}")
    if "--resume" in rest:
        raise ConfigError("--resume is of one run; a sweep goes on when the same command is given again")
    base = preset(name)
    # The runs get theirs from --gammas; 0 suits a model without attention, too.
    without = dataclasses.replace(base, objective=dataclasses.replace(base.objective, gamma=0.0))
    arguments = parse(
        SweepArguments,
        rest,
        "xecgnet-train sweep",
        "Trains several seeds and values of γ at once, as one program. --preset NAME first chooses a starting point: "
        + ", ".join(PRESETS)
        + " (default: quick).",
        default=SweepArguments(config=without),
    )
    folder = arguments.workdir or Path("runs") / f"{name}-sweep"
    numbers = {
        "save_every": (arguments.save_every, 0),
        "devices": (arguments.devices, 0),
        "at_once": (arguments.at_once, 0),
    }
    check_arguments(arguments.corpus, numbers, folder)
    from xecgnet_jax.training.sweep import make_members, sweep

    gammas = arguments.gammas or (base.objective.gamma,)
    members = make_members(arguments.config, arguments.seeds, gammas, folder)
    keep_compiled(arguments.corpus.cache)
    from xecgnet_jax.data.dataset import make_dataset

    corpus = pack(arguments.corpus, arguments.progress)
    dataset = make_dataset(corpus, arguments.config.data)
    print(f"{len(members)} runs: {describe(dataset)} ({corpus.kind})")
    best = sweep(
        members,
        dataset,
        at_once=arguments.at_once,
        progress=arguments.progress,
        save_every=arguments.save_every,
        data_on=arguments.data_on,
        devices=arguments.devices,
    )
    for workdir, record in best.items():
        print(f"{workdir}  best epoch {record['epoch']}: validation micro F1 {record['validation_micro_f1']:.3f}")
    if len(gammas) > 1 or len(members) == 2:
        print(f"compare them: {evaluate_command(['compare', *map(str, members)], arguments.corpus)}")
    else:
        for workdir in members:
            print(f"score it: {evaluate_command([str(workdir)], arguments.corpus)}")
