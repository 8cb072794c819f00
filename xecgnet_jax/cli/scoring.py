"""xecgnet-eval: the command line → scores of a trained run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from xecgnet_jax.cli.common import CorpusArguments, check_arguments, keep_compiled, pack, parse


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


def run(words: list[str]) -> None:
    arguments = parse(
        EvalArguments,
        words,
        "xecgnet-eval",
        "Scores a trained model on whole recordings, without choosing anything.",
    )
    from xecgnet_jax.runs import evaluate_run

    check_arguments(arguments.corpus, {"batch_size": (arguments.batch_size, 1)}, arguments.run)
    keep_compiled(arguments.corpus.cache)
    corpus = pack(arguments.corpus, arguments.progress)
    name = arguments.corpus.data.resolve().name if arguments.corpus.data else "simulated"
    print(
        evaluate_run(
            arguments.run,
            corpus,
            corpus_name=name,
            part=arguments.part,
            batch_size=arguments.batch_size,
            progress=arguments.progress,
        )
    )
