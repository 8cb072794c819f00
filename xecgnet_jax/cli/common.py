"""What the commands share: the corpus they are given, the command line, errors in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from xecgnet_jax.errors import ConfigError, StoppedError, XECGNetError
from xecgnet_jax.files import default_cache

#: Recordings of the simulated corpus, unless another number is asked for.
SIMULATED = 1200
#: Exit status of a run that was asked to stop, by Ctrl-C or SIGTERM.
STOPPED = 130


@dataclass(frozen=True)
class CorpusArguments:
    data: Path | None = None
    """Folder of the corpus: CPSC2018, a PhysioNet/CinC Challenge source, PTB-XL, or WFDB records with a labels.csv.
    Without it: simulated recordings."""
    cache: Path = field(default_factory=default_cache)
    """Where packs and simulated recordings are kept between runs."""
    on_bad_recording: Literal["fail", "skip"] = "fail"
    """Stop at a recording that cannot be read, or leave it out and say so."""
    simulate: int | None = None
    """How many recordings are simulated where no corpus is given; by default 1200, with --preset quick only."""
    simulate_seed: int = 2018
    """Seed of the simulated recordings."""
    workers: int | None = None
    """Processes that read recordings; by default one per CPU."""


def simulated(corpus: CorpusArguments) -> int:
    """Returns how many recordings are simulated where no corpus is given."""
    return SIMULATED if corpus.simulate is None else corpus.simulate


def pack(corpus: CorpusArguments, progress: bool) -> Any:
    """The pack of the corpus, made where it is missing or out of date."""

    from xecgnet_jax.data.dataset import pack_folder
    from xecgnet_jax.data.pack import pack_of
    from xecgnet_jax.data.pack.audit import format_audit

    folder = corpus.data
    if folder is None:
        from xecgnet_jax.data.simulation.corpus import simulate_corpus

        number = simulated(corpus)
        folder = corpus.cache / f"simulated-{number}-{corpus.simulate_seed}"
        simulate_corpus(folder, number, corpus.simulate_seed, progress=progress, workers=corpus.workers)
    destination = pack_folder(folder, corpus.cache)
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
    from xecgnet_jax.data.pack.storage import MANIFEST

    manifest = pack / MANIFEST
    return manifest.stat().st_mtime_ns if manifest.exists() else None


def describe(dataset: Any) -> str:
    """Returns how many recordings a dataset's parts have."""
    return (
        f"{len(dataset.train)} recordings to train on, {len(dataset.validation)} to validate, "
        f"{len(dataset.test)} to test"
    )


def check_arguments(corpus: CorpusArguments, numbers: dict[str, tuple[int, int]], workdir: Path) -> None:
    """Refuses numbers below their least, and a working directory or cache inside the corpus."""
    numbers = numbers | {"simulate": (simulated(corpus), 1), "simulate_seed": (corpus.simulate_seed, 0)}
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


def keep_compiled(cache: Path) -> None:
    """Programs that JAX compiled are found by later runs, unless JAX was told where to keep them."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        import jax

        jax.config.update("jax_compilation_cache_dir", str(cache / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def parse(kind: Any, words: list[str], program: str, description: str, default: Any = None) -> Any:
    settings = Annotated[kind, tyro.conf.OmitArgPrefixes]
    keywords = {} if default is None else {"default": default}
    return tyro.cli(settings, prog=program, description=description, args=words, **keywords)


def guarded(command: Callable[[list[str]], None], arguments: Sequence[str] | None) -> int:
    """Runs a command; a user's error is one line on stderr and status 2."""
    try:
        command(list(sys.argv[1:] if arguments is None else arguments))
    except XECGNetError as error:
        print(f"{'' if isinstance(error, StoppedError) else 'error: '}{error}", file=sys.stderr)
        return STOPPED if isinstance(error, StoppedError) else 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; check the path, its permissions and the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    return 0
