"""xecgnet-eval: the command line → scores of a trained run, or a comparison of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from xecgnet_jax.cli.common import SIMULATED, CorpusArguments, check_arguments, keep_compiled, pack, parse
from xecgnet_jax.errors import ConfigError

if TYPE_CHECKING:
    from xecgnet_jax.data.pack import Pack

#: Fewest resamples whose 2.5 % and 97.5 % quantiles mean something.
_LEAST_RESAMPLES = 100


@dataclass(frozen=True)
class ScoringArguments:
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    part: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """Recordings to score. auto: the test part of the run's own corpus, all recordings of any other."""
    thresholds: Literal["0.5", "best-f1", "best-subset"] = "0.5"
    """A class is predicted from this probability on. best-f1, best-subset: per class, chosen on the validation part
    while training, with the best F1 of each class or the best subset accuracy."""
    resamples: int = 2000
    """Resamples of the bootstrap that makes the intervals."""
    batch_size: int = 32
    """Windows in a step."""
    progress: bool = True
    """Show a progress bar."""


@dataclass(frozen=True)
class EvalArguments:
    run: tyro.conf.Positional[Path]
    """Working directory of a training run, or one checkpoint in it (WORKDIR/checkpoints/STEP)."""
    scoring: ScoringArguments = field(default_factory=ScoringArguments)
    report: bool = True
    """Write report.html: metrics, curves, and the recordings with their maps."""


@dataclass(frozen=True)
class CompareArguments:
    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Two or more working directories or checkpoints. Runs that differ in the seed alone are one group. The group
    of the first is the candidate, each other group a baseline that it is compared with."""
    scoring: ScoringArguments = field(default_factory=ScoringArguments)
    output: Path | None = None
    """Also write everything to this JSON file."""


def run(words: list[str]) -> None:
    if words[:1] == ["compare"]:
        _compare(words[1:])
    elif "compare" in words:
        raise ConfigError("compare comes first: xecgnet-eval compare RUN RUN [RUN …]")
    else:
        _evaluate(words)


def _evaluate(words: list[str]) -> None:
    arguments = parse(
        EvalArguments,
        words,
        "xecgnet-eval",
        "Scores a trained model on whole recordings, without choosing anything. To compare runs: xecgnet-eval compare "
        "RUN RUN [RUN …].",
    )
    from xecgnet_jax.evaluation.table import format_label_sets, format_table
    from xecgnet_jax.runs.evaluate import evaluate_predictions
    from xecgnet_jax.runs.load import load_run
    from xecgnet_jax.runs.predictions import predict_part
    from xecgnet_jax.runs.predictions_csv import PREDICTIONS

    scoring = arguments.scoring
    corpus, options = _corpus_and_options(scoring, [arguments.run])
    run = load_run(arguments.run)
    thresholds = run.thresholds(scoring.thresholds)
    predictions = predict_part(run, corpus, maps=arguments.report, **options)
    evaluation = evaluate_predictions(predictions, thresholds, scoring.resamples)
    metrics = evaluation.metrics
    written = [evaluation.metrics_file.name, PREDICTIONS]
    if arguments.report:
        from xecgnet_jax.report.write import write_report  # Jinja and matplotlib: only where a report is made

        written.append(write_report(evaluation, batch_size=scoring.batch_size, progress=scoring.progress).name)
    if predictions.trained_on:
        print(f"{predictions.trained_on} of these recordings have names of the run's training part.\n")
    print(format_table(metrics, evaluation.title), format_label_sets(metrics["label_sets"]), sep="\n\n")
    print(f"\nwritten: {predictions.folder}/{', '.join(written)}")


def _compare(words: list[str]) -> None:
    arguments = parse(
        CompareArguments,
        words,
        "xecgnet-eval compare",
        "Compares trained models on the same recordings: paired intervals, exact McNemar tests, and what follows.",
    )
    if len(arguments.runs) < 2:
        raise ConfigError("compare needs two or more runs: xecgnet-eval compare RUN RUN [RUN …]")
    from xecgnet_jax.evaluation.comparison_text import format_comparison
    from xecgnet_jax.files import write_json
    from xecgnet_jax.runs.compare import compare

    if arguments.output is not None and arguments.output.is_dir():
        raise ConfigError(f"output {arguments.output} is a folder; name a file in it")
    corpus, options = _corpus_and_options(arguments.scoring, arguments.runs)
    scoring = arguments.scoring
    comparison = compare(arguments.runs, corpus, thresholds=scoring.thresholds, resamples=scoring.resamples, **options)
    print("\n\n".join(format_comparison(result, comparison.title) for result in comparison.results))
    if arguments.output is not None:
        write_json(arguments.output, {"title": comparison.title, "results": comparison.results})
        print(f"\nwritten: {arguments.output}")


def _corpus_and_options(scoring: ScoringArguments, runs: Sequence[Path]) -> tuple[Pack, dict[str, Any]]:
    """Returns the pack, and what `predict_part` and `compare` take besides."""
    numbers = {"batch_size": (scoring.batch_size, 1), "resamples": (scoring.resamples, _LEAST_RESAMPLES)}
    for path in runs:
        check_arguments(scoring.corpus, numbers, path)
    if scoring.corpus.data is None and scoring.corpus.simulate is None:
        for path in runs:
            _check_simulated(path)
    keep_compiled(scoring.corpus.cache)
    options = {name: getattr(scoring, name) for name in ("part", "batch_size", "progress")}
    options["name"] = scoring.corpus.data.resolve().name if scoring.corpus.data else "simulated"
    return pack(scoring.corpus, scoring.progress), options


def _check_simulated(path: Path) -> None:
    """Refuses a run of another corpus where none is named: it would be scored on simulated recordings."""
    from xecgnet_jax.runs.load import load_run

    data = load_run(path).data
    kind, number = data.get("kind"), data.get("recordings")
    if (kind, number) != ("challenge", SIMULATED):
        raise ConfigError(
            f"{path} was trained on another corpus than the simulated one ({kind}, {number} recordings): "
            "give --data FOLDER, or --simulate N to score it on N simulated recordings"
        )
