"""xecgnet-eval: the command line → scores of a trained run, or a comparison of several."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from xecgnet_jax.cli.common import CorpusArguments, check_arguments, keep_compiled, pack, parse
from xecgnet_jax.errors import ConfigError

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
    from xecgnet_jax.runs.evaluate import evaluate_run

    scoring = arguments.scoring
    corpus, name = _corpus(scoring, [arguments.run])
    print(
        evaluate_run(
            arguments.run,
            corpus,
            corpus_name=name,
            part=scoring.part,
            thresholds=scoring.thresholds,
            resamples=scoring.resamples,
            report=arguments.report,
            batch_size=scoring.batch_size,
            progress=scoring.progress,
        )
    )


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
    from xecgnet_jax.runs.compare import compare_runs

    if arguments.output is not None and arguments.output.is_dir():
        raise ConfigError(f"output {arguments.output} is a folder; name a file in it")
    scoring = arguments.scoring
    corpus, name = _corpus(scoring, arguments.runs)
    comparison = compare_runs(
        arguments.runs,
        corpus,
        corpus_name=name,
        part=scoring.part,
        thresholds=scoring.thresholds,
        resamples=scoring.resamples,
        batch_size=scoring.batch_size,
        progress=scoring.progress,
    )
    print("\n\n".join(format_comparison(result, comparison.title) for result in comparison.results))
    if arguments.output is not None:
        write_json(arguments.output, {"title": comparison.title, "results": comparison.results})
        print(f"\nwritten: {arguments.output}")


def _corpus(scoring: ScoringArguments, runs: list[Path] | tuple[Path, ...]) -> tuple:
    """The pack, and the name under which results are kept."""
    numbers = {"batch_size": (scoring.batch_size, 1), "resamples": (scoring.resamples, _LEAST_RESAMPLES)}
    for path in runs:
        check_arguments(scoring.corpus, numbers, path)
    keep_compiled(scoring.corpus.cache)
    name = scoring.corpus.data.resolve().name if scoring.corpus.data else "simulated"
    return pack(scoring.corpus, scoring.progress), name
