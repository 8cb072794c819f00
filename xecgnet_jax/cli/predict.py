"""`xecgnet predict`: the command line → what a trained network says of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from xecgnet_jax import __version__
from xecgnet_jax.cli.common import (
    Folder,
    OptionalFile,
    OptionalFolder,
    OptionalHertz,
    OptionalNumber,
    OptionalUnits,
    keep_compiled,
)
from xecgnet_jax.data.io.discover import KNOWN, SAYS_NOTHING, RecordingFile, RecordingFiles, find_recording_files
from xecgnet_jax.data.io.recording import hash_name, is_rate
from xecgnet_jax.data.io.table import names_leads
from xecgnet_jax.data.leads import MissingLeads
from xecgnet_jax.errors import ConfigError, RecordError
from xecgnet_jax.files import check_writable, default_cache
from xecgnet_jax.terminal import printable, say, warn

if TYPE_CHECKING:
    from xecgnet_jax.evaluation.thresholds import Thresholds
    from xecgnet_jax.runs.load import Run
    from xecgnet_jax.runs.predict import FilePrediction, Refusal

#: Lines of one sort on stderr, after which the others are counted.
LINES: int = 20


@dataclass(frozen=True)
class Predict:
    """Predict recordings, and say what looks wrong with them."""

    #: The network, where it is not the one that comes with this package: working directory of a training run, one
    #: checkpoint in it (WORKDIR/checkpoints/STEP), a folder of weights, or the name of weights of this package. Then
    #: the recordings: WFDB (.hea, .mat or .dat), CPSC2018's .mat, GE MUSE, Philips, HL7 aECG, SCP-ECG, DICOM, EDF, CSV
    #: tables whose first line names the leads, or folders of them; arrays (.npy, .npz).
    words: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="[RUN] PATH [PATH ...]", help_behavior_hint="")
    ]
    #: Sampling rate of CSV tables and arrays in Hz. Other files say it themselves.
    rate: OptionalHertz = None
    #: Units of CSV tables and arrays. Other files say it themselves.
    units: OptionalUnits = None
    #: Names of the columns of arrays, in their order.
    leads: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LEAD [LEAD ...]", help_behavior_hint="")] = ()
    #: What is done with recordings that lack leads: refuse them, or take 0 mV for each lead that does not follow from I
    #: and II. The network was trained with twelve leads: docs/prediction.md says what that costs.
    missing_leads: MissingLeads = "refuse"
    #: File for all probabilities, label sets and warnings: .csv or .jsonl.
    output: OptionalFile = None
    #: Folder for a picture (SVG) of each recording with the network's maps.
    plot: OptionalFolder = None
    #: From which probabilities on classes are predicted: 0.5, or what was best on the validation part.
    thresholds: Literal["0.5", "best-f1", "best-subset"] = "0.5"
    #: Windows in a step.
    batch_size: int = 32
    #: Put keyed hashes in place of the names of files, which may be record numbers, in all that is printed or written.
    hash_ids: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    #: Processes that read; by default one per CPU.
    workers: OptionalNumber = None
    #: Where compiled programs are kept between runs.
    cache: Folder = field(default_factory=default_cache)
    #: Show a progress bar.
    progress: bool = True

    def run(self) -> None:
        """Predicts, and prints or writes what is found."""
        _check(self)
        network, paths = split_words(self.words)
        sources = find_recording_files(paths)
        _check_sources(self, paths, sources)
        keep_compiled(self.cache)
        from xecgnet_jax.evaluation.table import thresholds_lines
        from xecgnet_jax.runs.load import load_pretrained, load_run
        from xecgnet_jax.runs.predict import FilePrediction, Refusal, predict_files
        from xecgnet_jax.runs.prediction_table import ROWS_SHOWN, screen_text

        run = load_pretrained() if network is None else load_run(network)
        thresholds = run.thresholds(self.thresholds)
        _say("ignored", [f"{self.display_name(path)}: {why}" for path, why in sources.ignored])
        table = None if self.output is None else Table(self, self.output, run, thresholds)
        todo = [file for file in sources.recordings if table is None or table.log.row(file.path) is None]
        if before := len(sources.recordings) - len(todo):
            warn(f"{before} recordings were predicted before the command was stopped; it goes on")
        outcomes = predict_files(
            run,
            todo,
            thresholds=thresholds,
            rate=self.rate,
            units=self.units,
            leads=self.leads,
            missing_leads=self.missing_leads,
            batch_size=self.batch_size,
            plots=self.plot,
            pictures=() if table is None else table.log.pictures,
            workers=self.workers,
            hash_ids=self.hash_ids,
            keep=(lambda file, outcome: None) if table is None else table.keep,
            progress=self.progress,
        )
        found = [one for one in outcomes if isinstance(one, FilePrediction)]
        refused = [one for one in outcomes if isinstance(one, Refusal)]
        if table is not None and not found and not before:
            table.log.discard()
        if not found and len(refused) == 1 and not before:
            raise RecordError(refused[0].reason)
        _say_all(found, refused, most=None if self.output is None else LINES)
        if not found and not before:
            raise RecordError(f"none of the {len(refused)} recordings can be read; the reasons are above")
        lost = len(refused) if table is None else table.finish([file.path for file in sources.recordings])
        say(screen_text(run, thresholds, found, most=None if self.output is None else ROWS_SHOWN))
        count = "1 recording" if len(found) == 1 else f"{len(found)} recordings"
        say(f"\n{count}, {run.title}")
        say("\n".join(thresholds_lines(**thresholds.to_json(run.classes, run.calibration))))
        if self.output is not None:
            say(f"written: {self.output}")
        if self.plot is not None:
            say(f"pictures: {self.plot}")
        else:
            say("see why: the same command with --plot FOLDER draws each recording under its maps")
        if lost:
            raise RecordError(
                f"{lost} of {len(sources.recordings)} recordings cannot be read and have no prediction; "
                "the reasons are above"
            )

    def display_name(self, path: Path) -> str:
        """Returns the name of a file that is printed."""
        return hash_name(str(path)) if self.hash_ids else str(path)


class Table:
    """The table that `--output` names: a log of its rows until it is whole."""

    def __init__(self, arguments: Predict, file: Path, run: Run, thresholds: Thresholds) -> None:
        from xecgnet_jax.runs.prediction_log import PredictionLog, whole_name
        from xecgnet_jax.runs.prediction_table import csv_text, jsonl_text

        self._text = partial(csv_text if file.suffix == ".csv" else jsonl_text, run, thresholds)
        self._head = self._text([])
        names = ("rate", "units", "leads", "missing_leads", "hash_ids")
        options = {name: getattr(arguments, name) for name in names}
        options["plot"] = None if arguments.plot is None else arguments.plot.absolute()
        basis = {"version": __version__, "weights": run.digest(), "run": run.title, "options": str(options)}
        basis |= {"thresholds": thresholds.values.tolist(), "table": file.suffix}
        named = (lambda path: hash_name(whole_name(path))) if arguments.hash_ids else whole_name
        self.log = PredictionLog(file, basis, named, arguments.plot)

    def keep(self, file: RecordingFile, outcome: FilePrediction | Refusal) -> None:
        """Keeps the row of a recording."""
        text = self._text([outcome]).removeprefix(self._head)
        self.log.keep(file.path, text, getattr(outcome, "reason", None), getattr(outcome, "picture", None))

    def finish(self, paths: list[Path]) -> int:
        """Writes the table of these recordings, and returns how many of them are refused."""
        return self.log.finish(self._head, paths)


def _check(arguments: Predict) -> None:
    """Refuses what can be known to fail before anything is read."""
    _, paths = split_words(arguments.words)
    if not paths:
        raise ConfigError("no recordings are given; add files or folders")
    if arguments.batch_size < 1:
        raise ConfigError(f"batch_size is {arguments.batch_size}; possible: 1 or more")
    if arguments.rate is not None and not is_rate(arguments.rate):
        raise ConfigError(f"rate is {arguments.rate:g}; an ECG has 50 to 100,000 Hz")
    output = arguments.output
    if output is not None:
        if output.suffix not in (".csv", ".jsonl"):
            raise ConfigError(f"output {output}: the format goes by the suffix; possible: .csv, .jsonl")
        if output.is_dir():
            raise ConfigError(f"output {output}: is a folder; name a file in it")
        if output.is_file() and names_leads(output):
            raise ConfigError(f"output {output}: is a recording, which would be overwritten; choose another name")
        check_writable(output.parent, "output")
    if arguments.plot is not None:
        check_writable(arguments.plot, "plot")


def split_words(words: Sequence[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """Returns the network that the first word names, None where it names none, and the paths of the recordings.

    A folder with checkpoints, with weights or with the config of a run is a network; so is the name of weights of this
    package where there is no such path.

    Raises:
      ConfigError: there are several words, and the first is not there.
    """
    first = words[0] if words else Path()
    is_checkpoint = first.name.isdigit() and first.parent.name == "checkpoints"
    is_begun = all((first / mark).is_file() for mark in ("config.json", "split.csv"))  # a run without a checkpoint
    if is_checkpoint or is_begun or any((first / mark).exists() for mark in ("checkpoints", "model.safetensors")):
        return first, tuple(words[1:])
    is_record = first.with_name(f"{first.name}.hea").exists() if first.name else False
    if len(words) and not first.exists() and not is_record:
        from xecgnet_jax.runs.weights import PRETRAINED

        if str(first) in PRETRAINED:
            return first, tuple(words[1:])
        raise ConfigError(
            f"{first}: is not there; the first word may be a recording, a run, a folder of weights, or one of "
            f"{', '.join(PRETRAINED)}"
        )
    return None, tuple(words)


def _check_sources(arguments: Predict, paths: Sequence[Path], sources: RecordingFiles) -> None:
    first = paths[0]
    found = [source.path for source in sources.recordings]
    if len(paths) > 1 and first.is_dir() and not any(path.is_relative_to(first) for path in found):
        raise ConfigError(f"{first}: is no run (it has neither checkpoints nor weights), and holds no recordings")
    if not sources.recordings:
        ignored = [f" Ignored: {arguments.display_name(path)}: {why}." for path, why in sources.ignored[:1]]
        raise RecordError(f"{', '.join(map(str, paths))}: no recordings there. Known are {KNOWN}.{''.join(ignored)}")
    tables = [source.path for source in sources.recordings if source.is_table]
    arrays = [source.path for source in sources.recordings if source.is_array]
    silent = arguments.rate is None or arguments.units is None
    if tables and silent:
        raise ConfigError(f"{arguments.display_name(tables[0])}: {SAYS_NOTHING['table']}")
    if arrays and (silent or not arguments.leads):
        raise ConfigError(f"{arguments.display_name(arrays[0])}: {SAYS_NOTHING['array']}")
    if not tables and not arrays and (arguments.rate is not None or arguments.units is not None):
        raise ConfigError("--rate and --units are for CSV tables and arrays; the other files say theirs")
    if not arrays and arguments.leads:
        raise ConfigError("--leads is for arrays; the other files name their leads")


def _say_all(found: Sequence[FilePrediction], refused: Sequence[Refusal], most: int | None) -> None:
    """What a user should know of single recordings, on stderr; `most` warnings where a file has them all."""
    _say("note", [f"{one.path}: {note}" for one in found for note in one.notes])
    _say("WARNING", [f"{one.path}: {warning.text}" for one in found for warning in one.warnings], most)
    _say("refused", [one.reason for one in refused], most=None)


def _say(word: str, lines: Sequence[str], most: int | None = LINES) -> None:
    for line in lines[:most]:
        warn(f"{word}: {printable(line)}")
    if most is not None and len(lines) > most:
        warn(f"{word}: … and {len(lines) - most} more")
