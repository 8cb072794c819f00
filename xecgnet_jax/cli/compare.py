"""`xecgnet compare`: the command line → what differs between trained runs, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from xecgnet_jax.cli.common import CorpusArguments, OptionalFile, OptionalFolder
from xecgnet_jax.cli.evaluate import Scoring, open_packs_and_options
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.terminal import say


@dataclass(frozen=True)
class Compare:
    """Compare runs on the same recordings: paired intervals, exact tests, words."""

    #: Two or more working directories or checkpoints. Runs that differ in the seed alone are one group. The group
    #: of the first is the candidate, each other group a baseline that it is compared with.
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN RUN [RUN ...]")]
    corpus: CorpusArguments = field(default_factory=CorpusArguments)
    scoring: Scoring = field(default_factory=Scoring)
    #: Folder in which predictions are kept, for runs that cannot be written to. By default in the runs.
    results: OptionalFolder = None
    #: Also write everything to this JSON file.
    output: OptionalFile = None

    def run(self) -> None:
        """Compares, and prints the tables and where each run's own scores are."""
        if len(self.runs) < 2:
            raise ConfigError("compare needs two or more runs: xecgnet compare RUN RUN [RUN ...]")
        if self.output is not None and self.output.is_dir():
            raise ConfigError(f"output {self.output} is a folder; name a file in it")
        from xecgnet_jax.evaluation.comparison_text import format_comparison
        from xecgnet_jax.files import write_json
        from xecgnet_jax.runs.compare import compare

        scoring = self.scoring
        packs, options = open_packs_and_options(self.corpus, scoring, self.runs)
        options |= {"thresholds": scoring.thresholds, "resamples": scoring.resamples, "results": self.results}
        comparison = compare(self.runs, packs, **options)
        say("\n\n".join(format_comparison(result, comparison.title) for result in comparison.results))
        if self.output is None:
            say("\nkeep it: the same command with --output FILE.json")
        else:
            write_json(self.output, {"title": comparison.title, "results": comparison.results})
            say(f"\nwritten: {self.output}")
