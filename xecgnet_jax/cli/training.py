"""xecgnet-train: the command line → a trained run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xecgnet_jax.cli.common import CorpusArguments, check_arguments, describe, keep_compiled, pack, parse
from xecgnet_jax.cli.words import choose_preset, evaluate_command, option, take_preset
from xecgnet_jax.config import PRESETS, Config, preset
from xecgnet_jax.errors import ConfigError


@dataclass(frozen=True)
class TrainArguments:
    config: Config
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    workdir: Path | None = None
    """Folder of the run: config, checkpoints, metrics. Default: runs/PRESET."""
    resume: bool = False
    """Go on with the run in --workdir, with the config it holds. The same command without it does so too."""
    save_every: int = 0
    """Also save a checkpoint after this many steps; 0: after each epoch only."""
    data_on: Literal["auto", "device", "host"] = "auto"
    """Where the training recordings are meanwhile: in the device's memory, or gathered from the host's disk batch by
    batch; auto: on the device where they fit. The batches are the same."""
    profile: Path | None = None
    """Folder for a profile of five steps, for TensorBoard or Perfetto."""
    devices: int = 0
    """How many of this computer's devices (GPUs) are used; 0: all."""
    progress: bool = True
    """Show a progress bar (a line per epoch where the output is no terminal)."""


def run(words: list[str]) -> None:
    if words[:1] == ["sweep"]:
        from xecgnet_jax.cli.sweeping import run_sweep

        return run_sweep(words[1:])
    chosen, rest = take_preset(words)
    workdir = option(rest, "--workdir")
    resumes = "--resume" in rest
    name = "quick" if resumes and chosen is None else choose_preset(chosen, rest)
    base = preset(name)
    if resumes:
        from xecgnet_jax.training.workdir import read_config

        if workdir is None:
            raise ConfigError("--resume needs --workdir: the folder of the run to go on with")
        base = read_config(Path(workdir))
    arguments = parse(
        TrainArguments,
        rest,
        "xecgnet-train",
        "Trains xECGNet. --preset NAME first chooses a starting point: " + ", ".join(PRESETS) + " (default: quick). "
        "xecgnet-train sweep trains several seeds and values of γ at once.",
        default=TrainArguments(config=base),
    )
    folder = arguments.workdir or Path("runs") / name
    check_arguments(
        arguments.corpus, {"save_every": (arguments.save_every, 0), "devices": (arguments.devices, 0)}, folder
    )
    from xecgnet_jax.training.workdir import check_config

    check_config(folder, arguments.config)
    keep_compiled(arguments.corpus.cache)
    from xecgnet_jax.data.dataset import make_dataset
    from xecgnet_jax.training.loop import fit

    corpus = pack(arguments.corpus, arguments.progress)
    dataset = make_dataset(corpus, arguments.config.data)
    print(f"{describe(dataset)} ({corpus.kind})")
    best = fit(
        arguments.config,
        dataset,
        folder,
        progress=arguments.progress,
        save_every=arguments.save_every,
        data_on=arguments.data_on,
        devices=arguments.devices,
        profile=arguments.profile,
    )
    print(
        f"best epoch {best['epoch']}: validation micro F1 {best['validation_micro_f1']:.3f}\n"
        f"run: {folder}\n"
        f"score it: {evaluate_command([str(folder)], arguments.corpus)}"
    )
