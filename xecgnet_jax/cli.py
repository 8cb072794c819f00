"""The commands: read the command line, call the package, say what went wrong in one line."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xecgnet_jax.config import PRESETS, Config, preset
from xecgnet_jax.errors import ConfigError, StoppedError, XECGNetError

#: Exit status of a run that was asked to stop, by Ctrl-C or SIGTERM.
_STOPPED = 130


@dataclass(frozen=True)
class CorpusArguments:
    data: Path | None = None
    """Folder of the corpus: CPSC2018, a PhysioNet/CinC Challenge source, PTB-XL, or WFDB records with a labels.csv.
    Without it: simulated recordings."""
    cache: Path = field(default_factory=lambda: _cache())
    """Where packs and simulated recordings are kept between runs."""
    on_bad_recording: Literal["fail", "skip"] = "fail"
    """Stop at a recording that cannot be read, or leave it out and say so."""
    simulate: int = 1200
    """How many recordings are simulated where no corpus is given."""
    simulate_seed: int = 2018
    """Seed of the simulated recordings."""
    workers: int | None = None
    """Processes that read recordings; by default one per CPU."""


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


@dataclass(frozen=True)
class EvalArguments:
    run: tyro.conf.Positional[Path]
    """Working directory of a training run, or one checkpoint in it (WORKDIR/checkpoints/STEP)."""
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    part: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """Recordings to score. auto: the test part of the run's own corpus, all recordings of any other."""
    batch_size: int = 32
    """Windows in a step."""
    progress: bool = True
    """Show a progress bar."""


def train(arguments: Sequence[str] | None = None) -> int:
    """Trains a model."""
    return _guarded(_train, arguments)


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """Scores a trained model."""
    return _guarded(_evaluate, arguments)


def _train(words: list[str]) -> None:
    name, rest = _take_preset(words)
    workdir = _option(rest, "--workdir")
    base = preset(name)
    if "--resume" in rest:
        from xecgnet_jax.training.workdir import read_config

        if workdir is None:
            raise ConfigError("--resume needs --workdir: the folder of the run to go on with")
        base = read_config(Path(workdir))
    arguments = _parse(
        TrainArguments,
        rest,
        "xecgnet-train",
        "Trains xECGNet. --preset NAME first chooses a starting point: " + ", ".join(PRESETS) + " (default: quick).",
        default=TrainArguments(config=base),
    )
    folder = arguments.workdir or Path("runs") / name
    _check(arguments.corpus, {"save_every": (arguments.save_every, 0)}, folder)
    from xecgnet_jax.training.workdir import check_config

    check_config(folder, arguments.config)
    _keep_compiled(arguments.corpus.cache)
    from xecgnet_jax.data.parts import make_parts
    from xecgnet_jax.training.loop import fit

    pack = _pack(arguments.corpus, arguments.progress)
    parts = make_parts(pack, arguments.config.data)
    print(
        f"{len(parts.train)} recordings to train on, {len(parts.validation)} to validate, {len(parts.test)} to test"
        f" ({pack.kind})"
    )
    best = fit(arguments.config, parts, folder, progress=arguments.progress, save_every=arguments.save_every)
    print(
        f"best epoch {best['epoch']}: validation micro F1 {best['validation_micro_f1']:.3f}\n"
        f"run: {folder}\n"
        f"score it: {_evaluate_command(folder, arguments.corpus)}"
    )


def _evaluate(words: list[str]) -> None:
    arguments = _parse(
        EvalArguments,
        words,
        "xecgnet-eval",
        "Scores a trained model on whole recordings, without choosing anything.",
    )
    from xecgnet_jax.runs import evaluate_run

    _check(arguments.corpus, {"batch_size": (arguments.batch_size, 1)}, arguments.run)
    _keep_compiled(arguments.corpus.cache)
    pack = _pack(arguments.corpus, arguments.progress)
    name = arguments.corpus.data.resolve().name if arguments.corpus.data else "simulated"
    print(
        evaluate_run(
            arguments.run,
            pack,
            corpus_name=name,
            part=arguments.part,
            batch_size=arguments.batch_size,
            progress=arguments.progress,
        )
    )


def _pack(corpus: CorpusArguments, progress: bool) -> Any:
    """The pack of the corpus, made where it is missing or out of date."""
    import hashlib

    from xecgnet_jax.data.audit import format_audit
    from xecgnet_jax.data.pack import pack_of

    folder = corpus.data
    if folder is None:
        from xecgnet_jax.data.simulate import simulate_corpus

        folder = corpus.cache / f"simulated-{corpus.simulate}-{corpus.simulate_seed}"
        simulate_corpus(folder, corpus.simulate, corpus.simulate_seed, progress=progress, workers=corpus.workers)
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    destination = corpus.cache / "packs" / f"{folder.resolve().name}-{digest}"
    before = _changed(destination)
    pack = pack_of(
        folder,
        destination,
        on_bad_recording=corpus.on_bad_recording,
        workers=corpus.workers,
        progress=progress,
    )
    print(f"corpus: {folder}\npack: {destination}")
    if before != _changed(destination):
        print(format_audit(pack.audit))
    elif pack.audit.refused:
        print(f"{len(pack.audit.refused)} recordings are left out, see {destination / 'audit.json'}")
    return pack


def _changed(pack: Path) -> int | None:
    """When a pack was made, in nanoseconds."""
    from xecgnet_jax.data.storage import MANIFEST

    manifest = pack / MANIFEST
    return manifest.stat().st_mtime_ns if manifest.exists() else None


def _check(corpus: CorpusArguments, numbers: dict[str, tuple[int, int]], workdir: Path) -> None:
    """Refuses numbers below their least, and a working directory or cache inside the corpus."""
    numbers = numbers | {"simulate": (corpus.simulate, 1), "simulate_seed": (corpus.simulate_seed, 0)}
    if corpus.workers is not None:
        numbers["workers"] = (corpus.workers, 1)
    for name, (value, least) in numbers.items():
        if value < least:
            raise ConfigError(f"{name} is {value}; possible: {least} or more")
    for name, path in (("workdir", workdir), ("cache", corpus.cache)):
        if corpus.data is not None and path.resolve().is_relative_to(corpus.data.resolve()):
            raise ConfigError(
                f"{name} {path} lies in the corpus {corpus.data}, which would change by it; choose another"
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


def _keep_compiled(cache: Path) -> None:
    """Programs that JAX compiled are found by later runs, unless JAX was told where to keep them."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        import jax

        jax.config.update("jax_compilation_cache_dir", str(cache / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "xecgnet-jax"


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


def _parse(kind: Any, words: list[str], program: str, description: str, default: Any = None) -> Any:
    settings = Annotated[kind, tyro.conf.OmitArgPrefixes]
    keywords = {} if default is None else {"default": default}
    return tyro.cli(settings, prog=program, description=description, args=words, **keywords)


def _guarded(command: Callable[[list[str]], None], arguments: Sequence[str] | None) -> int:
    """Runs a command; a user's error is one line on stderr and status 2."""
    try:
        command(list(sys.argv[1:] if arguments is None else arguments))
    except XECGNetError as error:
        print(f"{'' if isinstance(error, StoppedError) else 'error: '}{error}", file=sys.stderr)
        return _STOPPED if isinstance(error, StoppedError) else 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; check the path, its permissions and the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return _STOPPED
    return 0


if __name__ == "__main__":
    commands = {"train": train, "eval": evaluate}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m xecgnet_jax.cli {{{','.join(commands)}}} …")
    sys.exit(commands[sys.argv[1]](sys.argv[2:]))
