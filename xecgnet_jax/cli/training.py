"""xecgnet-train: the command line → a trained run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from xecgnet_jax.cli.common import CorpusArguments, check_arguments, keep_compiled, pack, parse
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
    progress: bool = True
    """Show a progress bar (a line per epoch where the output is no terminal)."""


def run(words: list[str]) -> None:
    name, rest = _take_preset(words)
    workdir = _option(rest, "--workdir")
    base = preset(name)
    if "--resume" in rest:
        from xecgnet_jax.training.workdir import read_config

        if workdir is None:
            raise ConfigError("--resume needs --workdir: the folder of the run to go on with")
        base = read_config(Path(workdir))
    arguments = parse(
        TrainArguments,
        rest,
        "xecgnet-train",
        "Trains xECGNet. --preset NAME first chooses a starting point: " + ", ".join(PRESETS) + " (default: quick).",
        default=TrainArguments(config=base),
    )
    folder = arguments.workdir or Path("runs") / name
    check_arguments(arguments.corpus, {"save_every": (arguments.save_every, 0)}, folder)
    from xecgnet_jax.training.workdir import check_config

    check_config(folder, arguments.config)
    keep_compiled(arguments.corpus.cache)
    from xecgnet_jax.data.parts import make_parts
    from xecgnet_jax.training.loop import fit

    corpus = pack(arguments.corpus, arguments.progress)
    parts = make_parts(corpus, arguments.config.data)
    print(
        f"{len(parts.train)} recordings to train on, {len(parts.validation)} to validate, {len(parts.test)} to test"
        f" ({corpus.kind})"
    )
    best = fit(arguments.config, parts, folder, progress=arguments.progress, save_every=arguments.save_every)
    print(
        f"best epoch {best['epoch']}: validation micro F1 {best['validation_micro_f1']:.3f}\n"
        f"run: {folder}\n"
        f"score it: {_evaluate_command(folder, arguments.corpus)}"
    )


def _evaluate_command(workdir: Path, corpus: CorpusArguments) -> str:
    words = ["xecgnet-eval", str(workdir)]
    if corpus.data is not None:
        words += ["--data", str(corpus.data)]
    ordinary = CorpusArguments()
    for name in ("cache", "on_bad_recording", "simulate", "simulate_seed"):
        if getattr(corpus, name) != getattr(ordinary, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(corpus, name))]
    return shlex.join(words)


def _take_preset(words: list[str]) -> tuple[str, list[str]]:
    """The value of --preset and the words without it."""
    rest = list(words)
    for position, word in enumerate(rest):
        if word == "--preset":
            if position + 1 == len(rest):
                raise ConfigError(f"--preset needs a name: {', '.join(PRESETS)}")
            return rest[position + 1], rest[:position] + rest[position + 2 :]
        if word.startswith("--preset="):
            return word.split("=", 1)[1], rest[:position] + rest[position + 1 :]
    return "quick", rest


def _option(words: list[str], name: str) -> str | None:
    for position, word in enumerate(words):
        if word == name and position + 1 < len(words):
            return words[position + 1]
        if word.startswith(name + "="):
            return word.split("=", 1)[1]
    return None
