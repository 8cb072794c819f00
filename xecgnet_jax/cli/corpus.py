"""`xecgnet corpus` and `xecgnet simulate`: what a folder of recordings is, and a new one with known findings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from xecgnet_jax.cli.common import CorpusArguments, OptionalHertz, OptionalNumber, OptionalUnits, command_line
from xecgnet_jax.errors import CorpusError, first_few
from xecgnet_jax.terminal import say

PositionalFolder = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]


@dataclass(frozen=True)
class DescribeCorpus:
    """Tell what a corpus is, and how many recordings have each class."""

    #: The corpus.
    folder: PositionalFolder
    #: The classes to count: cpsc2018, ptbxl-superdiagnostic or another vocabulary of this package, or a TOML or CSV
    #: file.
    classes: str = "cpsc2018"
    #: Rate in Hz of the files to look at where a corpus has each recording at several; 0: the highest.
    rate_of_files: int = 0
    #: Data set, rate in Hz and units of HDF5 files, which do not say them.
    hdf5_dataset: str = "tracings"
    hdf5_rate: OptionalHertz = None
    hdf5_units: OptionalUnits = None

    def run(self) -> None:
        """Prints the description, and the command that trains on the corpus."""
        from xecgnet_jax.data.corpora import read_corpus
        from xecgnet_jax.data.labels import count_codes, read_vocabulary

        vocabulary = read_vocabulary(self.classes)
        arguments = CorpusArguments(
            data=self.folder,
            hdf5_dataset=self.hdf5_dataset,
            hdf5_rate=self.hdf5_rate,
            hdf5_units=self.hdf5_units,
        )
        corpus = read_corpus(self.folder, rate_of_files=self.rate_of_files, skip_lost=True, hdf5=arguments.hdf5)
        classes, unmapped = count_codes((entry.codes for entry in corpus.entries), vocabulary)
        patients = {entry.patient for entry in corpus.entries} - {None}
        folds = sorted({entry.fold for entry in corpus.entries if entry.fold is not None})
        say(f"{self.folder}: {corpus.kind}, {len(corpus.entries)} recordings")
        say(f"patients: {len(patients) or 'not told'}; folds: {' '.join(map(str, folds)) or 'none'}")
        for title, counts in (("classes", classes), (f"codes of no class ({len(unmapped)})", unmapped)):
            say(f"{title}:", *(f"  {name:<24}{count:>8}" for name, count in counts.items()), sep="\n")
        if unknown := [name for name in corpus.annotated if name not in vocabulary.classes]:
            raise CorpusError(
                f"{self.folder}/labels.csv: annotates {first_few(unknown)}, no class of {vocabulary.name}"
            )
        if corpus.annotated:
            say(f"annotated: {', '.join(corpus.annotated)}; other classes are unknown, not absent")
        for path, why in corpus.left_out():
            say(f"left out: {path}: {why}")
        for why, number in Counter(corpus.lost.values()).items():
            names = [name for name, own in corpus.lost.items() if own == why]
            say(f"left out ({number}): {first_few(names)}: {why}")
        words = ["--preset", "fast", *(["--classes", self.classes] if self.classes != "cpsc2018" else [])]
        say(f"train on it: {command_line('train', words, arguments)}")


@dataclass(frozen=True)
class Simulate:
    """Simulate 12-lead ECGs with the nine classes, written as a corpus."""

    #: Where the corpus goes.
    folder: PositionalFolder
    #: How many.
    recordings: int = 1000
    #: The same seed gives the same bytes.
    seed: int = 0
    #: Processes; by default one per CPU.
    workers: OptionalNumber = None
    #: Show a progress bar.
    progress: bool = True

    def run(self) -> None:
        """Writes the corpus, and prints the command that trains on it."""
        from xecgnet_jax.data.simulation.corpus import simulate_corpus

        simulate_corpus(**vars(self))
        say(f"corpus: {self.folder}")
        say(f"train on it: {command_line('train', ['--preset', 'quick'], CorpusArguments(data=self.folder))}")
