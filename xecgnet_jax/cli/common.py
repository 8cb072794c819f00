"""What the subcommands share: the corpus they are given, checks of arguments, the command to type next."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from xecgnet_jax.config import PRESETS, DataConfig, PresetName
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.files import check_local, default_cache
from xecgnet_jax.terminal import printable, say, warn

if TYPE_CHECKING:
    from xecgnet_jax.data.io.hdf5 import HDF5
    from xecgnet_jax.data.labels import Vocabulary

#: Recordings of the simulated corpus, unless another number is asked for.
SIMULATED = 1200

Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
OptionalFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")]
OptionalFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
OptionalPreset = Annotated[
    PresetName | None, tyro.conf.arg(metavar="{" + ",".join(PRESETS) + "}", help_behavior_hint="")
]
OptionalNumber = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
OptionalHertz = Annotated[float | None, tyro.conf.arg(metavar="HZ", help_behavior_hint="")]
OptionalUnits = Annotated[Literal["mV", "uV", "V"] | None, tyro.conf.arg(metavar="{mV,uV,V}", help_behavior_hint="")]
Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class CorpusArguments:
    #: Folder of the corpus: CPSC2018, a PhysioNet/CinC Challenge source, PTB-XL, recordings with a labels.csv, or
    #: HDF5 files with an exams.csv.
    #: Without it: simulated recordings.
    data: OptionalFolder = None
    #: How many recordings are simulated where no corpus is given; by default 1200, with --preset quick only.
    simulate: OptionalNumber = None
    #: Seed of the simulated recordings.
    simulate_seed: int = 2018
    #: Where packs, simulated recordings and compiled programs are kept between runs.
    cache: Folder = field(default_factory=default_cache)
    #: Stop at a recording that cannot be read, or leave it out and say so.
    on_bad_recording: Literal["fail", "skip"] = "fail"
    #: Classes that the corpus annotates, where these are not all: the others are unknown in it, not absent.
    annotated: tuple[str, ...] = ()
    #: Put keyed hashes in place of the names of recordings and patients, in all that is printed or written.
    hash_ids: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    #: Name of the data set in HDF5 files, [recordings, samples, 12].
    hdf5_dataset: str = "tracings"
    #: Their sampling rate in Hz, which they do not say.
    hdf5_rate: OptionalHertz = None
    #: Their units, which they do not say.
    hdf5_units: OptionalUnits = None
    #: Compare all samples of the pack with its checksum, though their file has not changed.
    verify: bool = False
    #: Processes that read recordings; by default one per CPU.
    workers: OptionalNumber = None

    @property
    def hdf5(self) -> HDF5:
        """What the options say of HDF5 files."""
        from xecgnet_jax.data.io.hdf5 import HDF5

        return HDF5(self.hdf5_dataset, self.hdf5_rate, self.hdf5_units)


def open_pack_of(
    corpus: CorpusArguments, config: DataConfig, progress: bool, vocabulary: Vocabulary | None = None
) -> Any:
    """Returns the pack of the corpus for a config, made where it is missing or out of date; prints where both are.

    `vocabulary` is that of a run; None: it is read as the config says.
    """
    from xecgnet_jax.data.dataset import pack_folder, pack_for
    from xecgnet_jax.data.labels import CPSC2018, read_vocabulary
    from xecgnet_jax.data.pack import check_samples, open_pack
    from xecgnet_jax.data.pack.audit import format_audit, format_losses
    from xecgnet_jax.data.pack.storage import AUDIT, generation_folder, read_manifest

    folder = corpus.data
    if folder is None:
        from xecgnet_jax.data.simulation.corpus import VERSION, simulate_corpus

        number = corpus.simulate or SIMULATED
        folder = corpus.cache / f"simulated-{number}-{corpus.simulate_seed}-v{VERSION}"
        simulate_corpus(folder, number, corpus.simulate_seed, progress=progress, workers=corpus.workers)
    destination = pack_folder(folder, corpus.cache, config, corpus.hdf5)
    before = _changed(destination)
    how = {"on_bad_recording": corpus.on_bad_recording, "workers": corpus.workers, "progress": progress}
    pack = pack_for(folder, corpus.cache, config, annotated=corpus.annotated, hdf5=corpus.hdf5, **how)
    if corpus.verify:
        check_samples(open_pack(destination), destination, always=True)
    if corpus.hash_ids:
        pack = pack.hash_ids()
    say(f"corpus: {folder}\npack: {destination}")
    audit = pack.audit  # of the nine classes: labeling takes half a second on large corpora
    vocabulary = vocabulary or read_vocabulary(config.classes)
    if vocabulary.digest() != CPSC2018.digest() or config.min_likelihood or pack.annotated:
        audit = pack.relabel(vocabulary, config.min_likelihood).audit
    if before != _changed(destination):
        say(format_audit(audit))
    elif losses := format_losses(audit):
        say(f"{losses} (see {generation_folder(destination, read_manifest(destination)) / AUDIT})")
    return pack


def pack_share_of(corpus: CorpusArguments, config: DataConfig, share: str, progress: bool) -> None:
    """Reads a share K/N of the corpus for its pack, and prints what it read.

    Raises:
      ConfigError: it is no share, or no corpus is named.
    """
    from xecgnet_jax.data.dataset import share_for
    from xecgnet_jax.data.pack import Share

    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", share)
    chosen = Share(int(match[1]), int(match[2])) if match else Share(0, 0)
    if not 1 <= chosen.number <= chosen.of:
        raise ConfigError(f"pack_only is {share!r}; possible: all, or K/N with K from 1 to N")
    if corpus.data is None:
        raise ConfigError("--pack-only K/N needs --data; simulated recordings are packed at once (--pack-only all)")
    how = {"workers": corpus.workers, "progress": progress}
    done = share_for(corpus.data, corpus.cache, config, chosen, hdf5=corpus.hdf5, **how)
    if done is None:
        say(f"share {share} of {corpus.data} is there already")
        return
    recordings, refused = done
    say(f"share {share} of {corpus.data}: {recordings} recordings, {len(refused)} of them cannot be read")
    for reason in () if corpus.hash_ids else refused.values():
        warn(f"cannot be read: {printable(reason)}")
    say("where all shares are there, the same command with --pack-only all joins them")


def _changed(pack: Path) -> int | None:
    """Returns when a pack was made, in nanoseconds."""
    from xecgnet_jax.data.pack.storage import MANIFEST

    manifest = pack / MANIFEST
    return manifest.stat().st_mtime_ns if manifest.exists() else None


def check_arguments(corpus: CorpusArguments, numbers: dict[str, tuple[int, int]], workdir: Path) -> None:
    """Refuses numbers below their least, and a working directory or cache inside the corpus."""
    numbers = numbers | {"simulate_seed": (corpus.simulate_seed, 0)}
    for name in ("simulate", "workers"):
        if getattr(corpus, name) is not None:
            numbers[name] = (getattr(corpus, name), 1)
    for name, (value, least) in numbers.items():
        if value < least:
            raise ConfigError(f"{name} is {value}; possible: {least} or more")
    for name, path in (("workdir", workdir), ("cache", corpus.cache)):
        if corpus.data is not None and path.resolve().is_relative_to(corpus.data.resolve()):
            raise ConfigError(
                f"{name} {path} lies in the corpus {corpus.data}, which would change by it; choose another"
            )


def refuse_addresses(command: Any) -> None:
    """Refuses arguments that name no path of this computer, where folders of such names would be made.

    Raises:
      ConfigError: naming the argument.
    """
    for field_ in dataclasses.fields(command):
        value = getattr(command, field_.name)
        if dataclasses.is_dataclass(value):
            refuse_addresses(value)
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path):
                check_local(path, field_.name)


def keep_compiled(cache: Path) -> None:
    """Lets later runs find the programs that JAX compiled, unless JAX was told where to keep them."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        import jax

        jax.config.update("jax_compilation_cache_dir", str(cache / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


#: Options that name a corpus.
_NAMING_OPTIONS = (
    *("data", "cache", "on_bad_recording", "annotated", "hash_ids", "hdf5_dataset", "hdf5_rate", "hdf5_units"),
    *("simulate", "simulate_seed"),
)


def command_line(name: str, what: list[str], corpus: CorpusArguments) -> str:
    """Returns the command `xecgnet NAME` with `what` and the options that name the corpus."""
    words = ["xecgnet", name, *what]
    ordinary = CorpusArguments()
    for option in _NAMING_OPTIONS:
        if (value := getattr(corpus, option)) != getattr(ordinary, option):
            values = value if isinstance(value, tuple) else [] if value is True else [value]
            words += [f"--{option.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)
