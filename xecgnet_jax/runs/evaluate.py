"""A run's scores on a corpus: metrics with intervals, predictions, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import PRESETS, differences
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.evaluation.intervals import RESAMPLES
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.scores import evaluate
from xecgnet_jax.evaluation.table import format_label_sets, format_table
from xecgnet_jax.evaluation.thresholds import ThresholdName, Thresholds
from xecgnet_jax.files import write_json, write_text
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.runs.predictions import PREDICTIONS, Part, Scored, maps_of, score
from xecgnet_jax.training.workdir import read_metrics


def evaluate_run(
    path: Path,
    pack: Pack,
    *,
    corpus_name: str,
    part: Part = "auto",
    thresholds: ThresholdName = "0.5",
    resamples: int = RESAMPLES,
    report: bool = True,
    batch_size: int = 32,
    progress: bool = True,
) -> str:
    """Scores a run on a corpus, and gives back what to print.

    Writes metrics.json, report.html (with their thresholds in the name, where they are not 0.5) and predictions.csv to
    WORKDIR/evaluation/CORPUS-PART. What is there already, made from the same, is read, not made again.

    Args:
      path: working directory or checkpoint.
      pack: the corpus.
      corpus_name: names the folder of the results.
      part: as for `scored.score`.
      thresholds: from which probability on a class is predicted.
      resamples: of the bootstrap.
      report: write the report, too.
      batch_size: windows in a step.
      progress: show a progress bar.

    Raises:
      CheckpointError: no such checkpoint, thresholds that it does not have, or as `scored.score`.
    """
    run = load_run(path)
    chosen = run.thresholds(thresholds)
    found = score(run, pack, corpus_name=corpus_name, part=part, maps=report, batch_size=batch_size, progress=progress)
    training = read_metrics(run.workdir)
    suffix = "" if thresholds == "0.5" else f"-{thresholds}"
    metrics_file, report_file = found.folder / f"metrics{suffix}.json", found.folder / f"report{suffix}.html"
    of: dict[str, Any] = {
        "thresholds": {"name": chosen.name, "values": chosen.by_class(run.classes)},
        "made_from": found.made_from,
        "trained_on": found.trained_on,
        "epochs": len(training),
    }
    metrics = _made_before(metrics_file, of, resamples)
    if metrics is None:
        predictions = apply_thresholds(found.probabilities, chosen.values)
        metrics = of | evaluate(
            found.labels, found.probabilities, predictions, run.classes, patients=found.patients, resamples=resamples
        )
        report_file.unlink(missing_ok=True)  # it shows these metrics
        write_json(metrics_file, metrics)
    title = f"{corpus_name}, {found.part} part: {len(found.rows)} recordings, checkpoint {run.step} of {run.workdir}"
    if report and not report_file.exists():
        maps = maps_of(found, pack, batch_size=batch_size, progress=progress)
        write_text(report_file, _report(found, pack, maps, chosen, metrics, training, corpus_name, progress=progress))
    written = [metrics_file.name, PREDICTIONS, *([report_file.name] if report else [])]
    warning = (
        [f"{found.trained_on} of these recordings have names of the run's training part."] if found.trained_on else []
    )
    return "\n\n".join(
        [
            *warning,
            format_table(metrics, title),
            format_label_sets(metrics["label_sets"]),
            f"written: {found.folder}/{', '.join(written)}",
        ]
    )


def _made_before(file: Path, of: dict[str, Any], resamples: int) -> dict[str, Any] | None:
    """Returns the metrics that are there already, where they are of the same."""
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        same = metrics["resampling"]["resamples"] == resamples and all(metrics[name] == of[name] for name in of)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return metrics if same else None


def _report(
    found: Scored,
    pack: Pack,
    maps: list[Maps],
    thresholds: Thresholds,
    metrics: dict[str, Any],
    training: list[dict[str, Any]],
    corpus_name: str,
    *,
    progress: bool,
) -> str:
    from xecgnet_jax.report import Contents, report_html  # Jinja and matplotlib: only where a report is made

    run, rows = found.run, found.rows
    contents = Contents(
        title=f"{corpus_name}, {found.part} part",
        subtitle=f"checkpoint {run.step} of {run.workdir}",
        about=_about(found, pack, corpus_name),
        metrics=metrics,
        classes=run.classes,
        ids=found.ids,
        labels=found.labels,
        probabilities=found.probabilities,
        thresholds=thresholds,
        signal=lambda position: pack.signal(int(rows[position])),
        maps=maps,
        training=training,
        step=run.step,
        notes=[_note(pack, int(row)) for row in rows],
    )
    with tqdm(total=len(rows), unit="recording", desc="report", disable=None if progress else True) as bar:
        return report_html(contents, progress=bar.update)


def _about(found: Scored, pack: Pack, corpus_name: str) -> dict[str, str]:
    run = found.run
    own = pack.fingerprint == run.data.get("fingerprint")
    changed = "; ".join(differences(PRESETS["fast"], run.config))
    return {
        "Corpus": f"{corpus_name} ({pack.kind}), {len(pack)} recordings, fingerprint {pack.fingerprint[:12]}",
        "Part": f"{found.part}, {len(found.rows)} recordings, {found.trained_on} named as in the training part",
        "Trained on": "this corpus" if own else f"another corpus ({run.data.get('kind', 'unknown')})",
        "Checkpoint": f"step {run.step}, weights {found.made_from['weights'][:12]}",
        "Window": f"{run.config.data.window}, normalized on: {run.config.data.normalize_on}",
        "Settings that differ from preset fast": changed or "none",
    }


def _note(pack: Pack, row: int) -> str:
    """ "63 years, F, patient 123, codes NORM SR"; what is unknown is left out."""
    age = pack.ages[row]
    parts = [
        f"{age:g} years" if np.isfinite(age) else "",
        pack.sexes[row] or "",
        f"patient {pack.patients[row]}" if pack.patients[row] else "",
        f"codes {' '.join(pack.codes[row])}" if pack.codes[row] else "",
    ]
    return ", ".join(part for part in parts if part)
