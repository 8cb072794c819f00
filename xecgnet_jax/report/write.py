"""The report of an evaluation, beside its metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import PRESETS, differences
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.files import write_text
from xecgnet_jax.report.contents import Contents
from xecgnet_jax.report.page import report_html
from xecgnet_jax.runs.evaluate import Evaluation
from xecgnet_jax.runs.predictions import PartPredictions


def write_report(evaluation: Evaluation, *, batch_size: int = 32, progress: bool = True) -> Path:
    """Writes report.html, unless it is there already, and returns where it is.

    `evaluate_predictions` has removed a report of other metrics. Maps that are made now take `batch_size` windows in a
    step.
    """
    if evaluation.report_file.exists():
        return evaluation.report_file
    predictions = evaluation.predictions
    run, pack, rows = predictions.run, predictions.pack, predictions.rows
    maps = predictions.make_maps(batch_size=batch_size, progress=progress)
    if pack.annotated:
        maps = [
            one if one.responses is None else one._replace(responses=one.responses[:, pack.columns]) for one in maps
        ]
    contents = Contents(
        title=f"{predictions.corpus}, {predictions.part} part",
        subtitle=run.title,
        about=_describe(predictions),
        metrics=evaluation.metrics,
        classes=predictions.classes,
        ids=predictions.ids,
        labels=predictions.labels,
        probabilities=predictions.scored,
        thresholds=evaluation.thresholds.pick(pack.columns),
        signal=lambda position: pack.signal(int(rows[position])),
        maps=maps,
        training=evaluation.training,
        step=run.step,
        notes=[_note(pack, int(row)) for row in rows],
        rate=run.signals.rate,
    )
    with tqdm(total=len(rows), unit="recording", desc="report", disable=None if progress else True) as bar:
        write_text(evaluation.report_file, report_html(contents, progress=bar.update))
    return evaluation.report_file


def _describe(predictions: PartPredictions) -> dict[str, str]:
    """Returns where the metrics come from: what → text."""
    run, pack, trained_on = predictions.run, predictions.pack, predictions.trained_on
    known = "unknown how many" if trained_on is None else trained_on
    known = f"{known} with names or patients of the training part"
    own = pack.fingerprint == run.data.get("fingerprint")
    changed = "; ".join(differences(PRESETS["fast"], run.config))
    return {
        "Corpus": f"{predictions.corpus} ({pack.kind}), {len(pack)} recordings, fingerprint {pack.fingerprint[:12]}",
        **(
            {"Annotated": f"{', '.join(predictions.classes)}; the other classes are left out"} if pack.annotated else {}
        ),
        "Part": f"{predictions.part}, {len(predictions.rows)} recordings, {known}",
        "Trained on": "this corpus" if own else f"another corpus ({run.data.get('kind', 'unknown')})",
        "Checkpoint": f"step {run.step}, weights {predictions.made_from['weights'][:12]}",
        "Window": f"{run.config.data.window}, normalized on: {run.config.data.normalize_on}",
        "Settings that differ from preset fast": changed or "none",
    }


def _note(pack: Pack, row: int) -> str:
    """Returns a short text on a recording, "63 years, F, patient 123, codes NORM SR"; what is unknown is left out."""
    age = pack.ages[row]
    parts = [
        f"{age:g} years" if np.isfinite(age) else "",
        pack.sexes[row] or "",
        f"patient {pack.patients[row]}" if pack.patients[row] else "",
        f"codes {' '.join(pack.codes[row])}" if pack.codes[row] else "",
    ]
    return ", ".join(part for part in parts if part)
