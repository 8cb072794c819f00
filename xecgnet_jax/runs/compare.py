"""Runs against runs on the same recordings: `xecgnet_jax.compare`, `xecgnet compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.config import Config, differences
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.errors import CheckpointError, first_few
from xecgnet_jax.evaluation import comparison
from xecgnet_jax.evaluation.intervals import RESAMPLES
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import ThresholdName
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.runs.predictions import Part, PartPredictions, predict_part

#: A group is named by at most this many settings; by its runs where more differ.
_NAMED_SETTINGS = 3


@dataclass(frozen=True)
class Comparison:
    """What was compared on what (`title`), and the first group with each other one, as JSON values (`results`).

    A result is that of `comparison.compare`, plus `thresholds` and `made_from`.
    """

    title: str
    results: list[dict[str, Any]]


def compare(
    runs: Sequence[Run | str | Path],
    corpus: Dataset | Pack | Sequence[Pack],
    *,
    part: Part = "auto",
    thresholds: ThresholdName = "0.5",
    resamples: int = RESAMPLES,
    name: str | None = None,
    batch_size: int = 32,
    progress: bool = True,
    results: str | Path | None = None,
) -> Comparison:
    """Compares runs on one part of a corpus. Runs whose configs differ in the seed alone are one group.

    The first run's group is the candidate, each other group a baseline. Two runs of one config are compared with each
    other.

    Args:
      runs: runs, working directories or checkpoints, two or more.
      corpus, part, name, batch_size, progress: as of `evaluate`; where runs see signals of several rates or filters, a
        pack for each run.
      thresholds: each run's own of that name.
      resamples: of the bootstrap.
      results: where predictions are kept, a folder for each run; None: in the run's own.

    Raises:
      CheckpointError: fewer than two runs, one run twice, runs that cannot be compared, or other recordings.
    """
    if len(runs) < 2:
        raise CheckpointError("comparing needs two runs or more")
    loaded: list[Run] = []
    for given in runs:
        run = given if isinstance(given, Run) else load_run(given)
        if any(run.workdir.resolve() == other.workdir.resolve() and run.step == other.step for other in loaded):
            path = run.workdir if isinstance(given, Run) else given
            raise CheckpointError(f"{path}: given twice; a run cannot be compared with itself")
        if loaded and run.vocabulary.digest() != loaded[0].vocabulary.digest():
            raise CheckpointError(
                f"{loaded[0].workdir} and {run.workdir} cannot be compared: their classes are those of "
                f"{loaded[0].vocabulary.name} and {run.vocabulary.name}"
            )
        run.thresholds(thresholds)  # what cannot be compared is said before anything is predicted
        loaded.append(run)
    groups_of_runs = _group_runs(loaded)
    corpora = [corpus] * len(loaded) if isinstance(corpus, Dataset | Pack) else corpus
    predictions: list[PartPredictions] = []
    for run, own in zip(loaded, corpora, strict=True):
        place = None if results is None else Path(results) / f"{run.workdir.resolve().name}-{run.digest()[:8]}"
        one = predict_part(run, own, name=name, part=part, batch_size=batch_size, progress=progress, output=place)
        first = predictions[0] if predictions else one
        if mismatch := describe_mismatch(first.ids, one.ids):
            raise CheckpointError(f"{first.run.workdir} and {one.run.workdir} cannot be compared: {mismatch}")
        predictions.append(one)
    groups = [[predictions[position] for position in group] for group in groups_of_runs]
    run_names = _name_runs(predictions)
    arrays = [
        comparison.Group(
            name=name_of_group,
            runs=tuple(run_names[one] for one in group),
            seeds=tuple(one.run.config.seed for one in group),
            labels=group[0].labels,
            probabilities=np.stack([one.scored for one in group]),
            predictions=np.stack(
                [
                    apply_thresholds(one.scored, one.run.thresholds(thresholds).pick(one.pack.columns).values)
                    for one in group
                ]
            ),
        )
        for name_of_group, group in zip(_name_groups(groups, run_names), groups, strict=True)
    ]
    found: list[dict[str, Any]] = []
    for baseline, group in zip(arrays[1:], groups[1:], strict=True):
        result = comparison.compare(arrays[0], baseline, patients=predictions[0].patients, resamples=resamples)
        both = [*groups[0], *group]
        result["notes"] += _notes(both, run_names)
        result["thresholds"] = {
            "name": thresholds,
            "values": {run_names[one]: one.run.thresholds(thresholds).by_class(one.run.classes) for one in both},
        }
        result["made_from"] = {run_names[one]: {"workdir": str(one.run.workdir)} | one.made_from for one in both}
        found.append(result)
    first = predictions[0]
    used = "threshold 0.5" if thresholds == "0.5" else f"thresholds {thresholds} of each run's validation part"
    return Comparison(f"{first.corpus}, {first.part} part: {len(first.rows)} recordings, {used}", found)


def describe_mismatch(first: Sequence[str], second: Sequence[str]) -> str | None:
    """Returns why two runs were not scored on the same recordings of a corpus, in one order, given their names."""
    in_first, in_second = set(first), set(second)
    only_first = [name for name in first if name not in in_second]
    only_second = [name for name in second if name not in in_first]
    if only_first or only_second:
        return (
            f"they were scored on different recordings: {_count(only_first)} in the first run only, "
            f"{_count(only_second)} in the second only; score both on the same part of the same corpus"
        )
    moved = [name for name, other in zip(first, second, strict=True) if name != other]
    if moved:
        return f"they have the same recordings in another order, or some twice, from {moved[0]} on; score both again"
    return None


def _count(names: Sequence[str]) -> str:
    """Returns "3 recordings (A0001, A0002, A0003)"; of more, the first three names."""
    number = f"{len(names)} recording{'' if len(names) == 1 else 's'}"
    return f"{number} ({first_few(names, 3)})" if names else number


def _group_runs(runs: list[Run]) -> list[list[int]]:
    """Returns the positions of the runs of each group: one config but for the seed, trained on the same data."""
    groups: dict[tuple[Config, str], list[int]] = {}
    for position, run in enumerate(runs):
        groups.setdefault((replace(run.config, seed=0), json.dumps(run.data, sort_keys=True)), []).append(position)
    if len(groups) == 1 and len(runs) == 2:
        return [[0], [1]]
    if len(groups) == 1:
        raise CheckpointError(
            f"the {len(runs)} runs differ in nothing but the seed, so they are one group; give a run of another "
            "config to compare them with, or two runs only"
        )
    for group in groups.values():
        seeds = [runs[position].config.seed for position in group]
        if doubled := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
            twice = [str(runs[position].workdir) for position in group if runs[position].config.seed == doubled[0]]
            raise CheckpointError(
                f"{' and '.join(twice)} have one config and one seed, {doubled[0]}: they are not independent "
                "runs; leave one out"
            )
    return list(groups.values())


def _notes(predictions: list[PartPredictions], run_names: dict[PartPredictions, str]) -> list[str]:
    """Returns what the comparison itself cannot know of the runs."""
    notes = [
        f"{run_names[one]} was trained on {one.trained_on} of these recordings, by names or patients: its metrics are "
        "not those of new ones."
        for one in predictions
        if one.trained_on
    ]
    if len({one.run.workdir.resolve() for one in predictions}) < len(predictions):
        notes.append(
            "Some are checkpoints of one training: to choose between them by these metrics is to choose on these "
            "recordings."
        )
    return notes


def _name_runs(predictions: list[PartPredictions]) -> dict[PartPredictions, str]:
    """Returns the name of each working directory, or what more it takes to tell them apart."""
    names: list[str] = []
    for form in ("{folder.name}", "{folder.name}@{run.step}", "{run.workdir}", "{run.workdir}@{run.step}"):
        names = [form.format(run=one.run, folder=one.run.workdir.resolve()) for one in predictions]
        if len(set(names)) == len(names):
            break
    return dict(zip(predictions, names, strict=True))


def _name_groups(groups: list[list[PartPredictions]], run_names: dict[PartPredictions, str]) -> list[str]:
    """Returns what sets each group apart from the first: its settings, or its runs."""
    runs = [group[0].run for group in groups]
    first = runs[0].config
    changes = [line for run in runs[1:] for line in differences(first, replace(run.config, seed=first.seed))]
    settings = dict.fromkeys(line.partition(":")[0] for line in changes)
    if not 0 < len(settings) <= _NAMED_SETTINGS or any(run.data != runs[0].data for run in runs):
        return [", ".join(run_names[one] for one in group) for group in groups]
    return [", ".join(_format_setting(run.config, name) for name in settings) for run in runs]


def _format_setting(config: Config, dotted: str) -> str:
    """Returns the last name and the value of a setting: objective.gamma → "gamma 0.01"."""
    name, value = dotted.rpartition(".")[2], attrgetter(dotted)(config)
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
