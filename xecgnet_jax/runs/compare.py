"""Runs against runs on the same recordings: `eval.py compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xecgnet_jax.config import Config, differences
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.comparison import Group, compare
from xecgnet_jax.evaluation.intervals import RESAMPLES
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.thresholds import ThresholdName
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.runs.predictions import Part, Scored, score

#: A group is named by at most this many settings; by its runs where more differ.
_NAMED_SETTINGS = 3
#: How many recordings an error names.
_NAMED_RECORDINGS = 3


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found.

    Attributes:
      title: what was compared on what.
      results: of the first group with each other one, as `comparison.compare` gives them, plus `thresholds` and
        `made_from`.
    """

    title: str
    results: list[dict[str, Any]]


def compare_runs(
    paths: Sequence[Path],
    pack: Pack,
    *,
    corpus_name: str,
    part: Part = "auto",
    thresholds: ThresholdName = "0.5",
    resamples: int = RESAMPLES,
    batch_size: int = 32,
    progress: bool = True,
) -> Comparison:
    """Compares runs on one part of a corpus. Runs whose configs differ in the seed alone are one group.

    The first run's group is the candidate, each other group a baseline. Two runs of one config are compared with each
    other.

    Args:
      paths: working directories or checkpoints, two or more.
      pack: the corpus.
      corpus_name: names the folder in which each run's predictions are kept.
      part: as for `scored.score`.
      thresholds: each run's own of that name.
      resamples: of the bootstrap.
      batch_size: windows in a step.
      progress: show a progress bar.

    Raises:
      CheckpointError: fewer than two runs, one run twice, runs that cannot be compared, or other recordings.
    """
    if len(paths) < 2:
        raise CheckpointError("comparing needs two runs or more")
    runs: list[Run] = []
    for path in paths:
        run = load_run(path)
        if any(run.workdir.resolve() == one.workdir.resolve() and run.step == one.step for one in runs):
            raise CheckpointError(f"{path}: given twice; a run cannot be compared with itself")
        run.thresholds(thresholds)  # what cannot be compared is said before anything is predicted
        runs.append(run)
    positions = _group_runs(runs)
    scored: list[Scored] = []
    for run in runs:
        one = score(run, pack, corpus_name=corpus_name, part=part, batch_size=batch_size, progress=progress)
        first = scored[0] if scored else one
        if mismatch := describe_mismatch(first.ids, first.labels, one.ids, one.labels):
            raise CheckpointError(f"{first.run.workdir} and {one.run.workdir} cannot be compared: {mismatch}")
        scored.append(one)
    members = [[scored[position] for position in group] for group in positions]
    run_names = _run_names(scored)
    names = _group_names(members, run_names)
    groups = [_group(name, group, run_names, thresholds) for name, group in zip(names, members, strict=True)]
    results = []
    for baseline, of_baseline in zip(groups[1:], members[1:], strict=True):
        both = [*members[0], *of_baseline]
        result = compare(groups[0], baseline, patients=scored[0].patients, resamples=resamples)
        result["notes"] += _notes(both, run_names)
        result["thresholds"] = {
            "name": thresholds,
            "values": {run_names[one]: one.run.thresholds(thresholds).by_class(one.run.classes) for one in both},
        }
        result["made_from"] = {run_names[one]: {"workdir": str(one.run.workdir)} | one.made_from for one in both}
        results.append(result)
    used = "threshold 0.5" if thresholds == "0.5" else f"thresholds {thresholds} of each run's validation part"
    return Comparison(f"{corpus_name}, {scored[0].part} part: {len(scored[0].rows)} recordings, {used}", results)


def describe_mismatch(
    first_ids: Sequence[str], first_labels: np.ndarray, second_ids: Sequence[str], second_labels: np.ndarray
) -> str | None:
    """Returns why two runs were not scored on the same recordings, in one order, with the same labels; None if so."""
    in_first, in_second = set(first_ids), set(second_ids)
    only_first = [name for name in first_ids if name not in in_second]
    only_second = [name for name in second_ids if name not in in_first]
    if only_first or only_second:
        return (
            f"they were scored on different recordings: {_count(only_first)} in the first run only, "
            f"{_count(only_second)} in the second only; score both on the same part of the same corpus"
        )
    if list(first_ids) != list(second_ids):
        moved = [name for name, other in zip(first_ids, second_ids, strict=False) if name != other] or first_ids
        return f"they have the same recordings in another order, or some twice, from {moved[0]} on; score both again"
    if np.shape(first_labels) != np.shape(second_labels):
        return (
            f"they have labels of different shapes, {np.shape(first_labels)} and {np.shape(second_labels)}; "
            "compare runs with the same classes"
        )
    differ = np.flatnonzero(np.any(np.asarray(first_labels) != np.asarray(second_labels), axis=1))
    if len(differ):
        return (
            f"they have different labels for {_count([first_ids[index] for index in differ.tolist()])}; "
            "score both again with the same corpus"
        )
    return None


def _count(names: Sequence[str]) -> str:
    """Returns "3 recordings (A0001, A0002, A0003)"; of more, the first few names."""
    number = f"{len(names)} recording{'' if len(names) == 1 else 's'}"
    named = ", ".join(names[:_NAMED_RECORDINGS]) + (", …" if len(names) > _NAMED_RECORDINGS else "")
    return f"{number} ({named})" if names else number


def _group_runs(runs: list[Run]) -> list[list[int]]:
    """Returns positions of runs that differ in the seed alone and had the same data, in the order of their first."""
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


def _notes(scored: list[Scored], run_names: dict[Scored, str]) -> list[str]:
    """Returns what the comparison itself cannot know of the runs."""
    notes = [
        f"{run_names[one]} was trained on {one.trained_on} of these recordings, by their names: its metrics are not "
        "those of new ones."
        for one in scored
        if one.trained_on
    ]
    if len({one.run.workdir.resolve() for one in scored}) < len(scored):
        notes.append(
            "Some are checkpoints of one training: to choose between them by these metrics is to choose on these "
            "recordings."
        )
    return notes


def _run_names(scored: list[Scored]) -> dict[Scored, str]:
    """The name of each working directory, or what more it takes to tell them apart."""
    for names in (
        [one.run.workdir.resolve().name for one in scored],
        [f"{one.run.workdir.resolve().name}@{one.run.step}" for one in scored],
        [str(one.run.workdir) for one in scored],
    ):
        if len(set(names)) == len(names):
            return dict(zip(scored, names, strict=True))
    return {one: f"{one.run.workdir}@{one.run.step}" for one in scored}


def _group_names(groups: list[list[Scored]], run_names: dict[Scored, str]) -> list[str]:
    """Returns what sets each group apart from the first: its settings, or its runs."""
    first = groups[0][0].run.config
    settings: dict[str, None] = {}
    for group in groups[1:]:
        for line in differences(first, replace(group[0].run.config, seed=first.seed)):
            settings[line.partition(":")[0]] = None
    data = {json.dumps(group[0].run.data, sort_keys=True) for group in groups}
    if not 0 < len(settings) <= _NAMED_SETTINGS or len(data) > 1:
        return [", ".join(run_names[one] for one in group) for group in groups]
    return [", ".join(_setting(group[0].run.config, name) for name in settings) for group in groups]


def _setting(config: Config, dotted: str) -> str:
    """objective.gamma → "gamma 0.01"."""
    value: Any = config
    for name in dotted.split("."):
        value = getattr(value, name)
    return (
        f"{dotted.rpartition('.')[2]} {value:g}" if isinstance(value, float) else f"{dotted.rpartition('.')[2]} {value}"
    )


def _group(name: str, scored: list[Scored], run_names: dict[Scored, str], thresholds: ThresholdName) -> Group:
    return Group(
        name=name,
        runs=tuple(run_names[one] for one in scored),
        seeds=tuple(one.run.config.seed for one in scored),
        labels=scored[0].labels,
        probabilities=np.stack([one.probabilities for one in scored]),
        predictions=np.stack(
            [apply_thresholds(one.probabilities, one.run.thresholds(thresholds).values) for one in scored]
        ),
    )
