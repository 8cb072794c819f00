"""`xecgnet evaluate`: the command line → scores of a trained run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xecgnet_jax.cli.common import (
    SIMULATED,
    CorpusArguments,
    OptionalFolder,
    OptionalNumber,
    Run,
    check_arguments,
    command_line,
    keep_compiled,
    open_pack_of,
)
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.terminal import say

if TYPE_CHECKING:
    from xecgnet_jax.data.pack import Pack

#: Fewest resamples whose 2.5 % and 97.5 % quantiles mean something.
_LEAST_RESAMPLES = 100


@dataclass(frozen=True)
class Scoring:
    #: Recordings to score. auto: the test part of the run's own corpus, all recordings of any other. unseen: all but
    #: those whose patients or names are in the run's training or validation part.
    part: Literal["auto", "train", "validation", "test", "all", "unseen"] = "auto"
    #: A class is predicted from this probability on. best-f1, best-subset: per class, chosen on the validation part
    #: while training, with the best F1 of each class or the best subset accuracy.
    thresholds: Literal["0.5", "best-f1", "best-subset"] = "0.5"
    #: Rate in Hz of the files to read where a corpus has each recording at several; by default as the run was trained.
    rate_of_files: OptionalNumber = None
    #: Resamples of the bootstrap that makes the intervals.
    resamples: int = 2000
    #: Windows in a step.
    batch_size: int = 32
    #: Show a progress bar.
    progress: bool = True


@dataclass(frozen=True)
class Evaluate:
    """Score a run on whole recordings: tables, probabilities, a report."""

    #: Working directory of a training run, one checkpoint in it (WORKDIR/checkpoints/STEP), a folder of weights, or the
    #: name of weights of this package.
    run_folder: Run
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    scoring: Scoring = field(default_factory=Scoring)
    #: Folder of results, for runs that cannot be written to. By default RUN/evaluation.
    output: OptionalFolder = None
    #: Write report.html: metrics, curves, and the recordings with their maps.
    report: bool = True

    def run(self) -> None:
        """Scores, writes the files, and prints the tables and the command that compares with another run."""
        from xecgnet_jax.evaluation.table import format_label_sets, format_table
        from xecgnet_jax.runs.evaluate import evaluate_predictions
        from xecgnet_jax.runs.load import load_run
        from xecgnet_jax.runs.predictions import predict_part
        from xecgnet_jax.runs.predictions_csv import PREDICTIONS

        scoring = self.scoring
        (pack,), options = open_packs_and_options(self.corpus, scoring, [self.run_folder])
        run = load_run(self.run_folder)
        thresholds = run.thresholds(scoring.thresholds)
        predictions = predict_part(run, pack, maps=self.report, output=self.output, **options)
        evaluation = evaluate_predictions(predictions, thresholds, scoring.resamples)
        metrics = evaluation.metrics
        written = [evaluation.metrics_file.name, PREDICTIONS]
        if self.report:
            from xecgnet_jax.report.write import write_report  # Jinja and matplotlib: only where a report is made

            written.append(write_report(evaluation, batch_size=scoring.batch_size, progress=scoring.progress).name)
        if predictions.trained_on is None:
            say("The weights do not say which recordings they were made with; some of these may be among them.\n")
        elif predictions.trained_on:
            say(f"{predictions.trained_on} of these recordings have names or patients of the run's training part.\n")
        say(format_table(metrics, evaluation.title), format_label_sets(metrics["label_sets"]), sep="\n\n")
        say(f"\nwritten: {predictions.folder}/{', '.join(written)}")
        say(f"compare it: {command_line('compare', [str(self.run_folder), 'OTHER_RUN'], self.corpus)}")


def open_packs_and_options(
    corpus: CorpusArguments, scoring: Scoring, runs: Sequence[Path]
) -> tuple[list[Pack], dict[str, Any]]:
    """Returns the pack of each run, and what `predict_part` and `compare` take besides."""
    numbers = {"batch_size": (scoring.batch_size, 1), "resamples": (scoring.resamples, _LEAST_RESAMPLES)}
    for path in runs:
        check_arguments(corpus, numbers, path)
    if corpus.data is None and corpus.simulate is None:
        for path in runs:
            _check_simulated(path)
    keep_compiled(corpus.cache)
    options = {name: getattr(scoring, name) for name in ("part", "batch_size", "progress")}
    options["name"] = corpus.data.resolve().name if corpus.data else "simulated"
    from xecgnet_jax.runs.load import describe_run

    described = [describe_run(path) for path in runs]
    configs = [one.config.data for one in described]
    if scoring.rate_of_files is not None:
        configs = [dataclasses.replace(config, rate_of_files=scoring.rate_of_files) for config in configs]
    packs: dict[Any, Pack] = {}
    for config, one in zip(configs, described, strict=True):
        if (kind := (config.rate, config.filter, config.rate_of_files)) not in packs:
            packs[kind] = open_pack_of(corpus, config, scoring.progress, one.vocabulary)
    return [packs[config.rate, config.filter, config.rate_of_files] for config in configs], options


def _check_simulated(path: Path) -> None:
    """Refuses a run of another corpus where none is named: it would be scored on simulated recordings."""
    from xecgnet_jax.runs.load import describe_run

    data = describe_run(path).data
    kind, number = data.get("kind"), data.get("recordings")
    if (kind, number) != ("challenge", SIMULATED):
        raise ConfigError(
            f"{path} was trained on another corpus than the simulated one ({kind}, {number} recordings): "
            "give --data FOLDER, or --simulate N to score it on N simulated recordings"
        )
