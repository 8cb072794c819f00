"""The model card of weights: what they are of, what they were trained on, how well they do, what they are not for."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from xecgnet_jax import __version__
from xecgnet_jax.config import window_length
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.platt import LEAST_POSITIVES
from xecgnet_jax.evaluation.scores import FORMAT
from xecgnet_jax.evaluation.table import LABEL_COUNT_NAMES, format_value
from xecgnet_jax.files import read_sealed
from xecgnet_jax.runs.weights import PRETRAINED
from xecgnet_jax.training.progress import BEST_BY, value_of


class Source(NamedTuple):
    """Where the recordings of a kind of corpus come from."""

    short: str
    text: str
    license: str = ""
    patients: str = "Where the corpus names patients, each is in one part."


_OWN = Source("recordings of the author", "recordings of the author; add here where they come from and their license.")
SOURCES = {
    "ptbxl": Source(
        "PTB-XL",
        "PTB-XL (P. Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data "
        "7:154, 2020, https://doi.org/10.1038/s41597-020-0495-6; PhysioNet: A. L. Goldberger et al., Circulation "
        "101:e215, 2000), licensed CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). The weights are derived "
        "from it and have the same license.",
        "cc-by-4.0",
        "No patient is in two parts.",
    ),
    "cpsc2018": Source(
        "CPSC2018",
        "CPSC2018 (F. Liu et al., An open access database for evaluating the algorithms of electrocardiogram rhythm "
        "and morphology abnormality detection, Journal of Medical Imaging and Health Informatics 8:1368–1373, 2018).",
    ),
    "challenge": Source(
        "WFDB recordings with SNOMED CT codes",
        "WFDB recordings with SNOMED CT codes, as of the PhysioNet/CinC Challenges 2020 and 2021, or simulated ones; "
        "add here which.",
    ),
}
_SPLITS = {
    "paper": "the paper's random draw",
    "folds": "the corpus's folds",
    "stratified": "a stratified draw",
    "file": "a list of recordings",
    "auto": "the corpus's folds, or a draw where it has none",
}


def model_card(run: Any, name: str, size: int) -> str:
    """Returns the card of the weights of a `Run` as Markdown: `name` of their folder, `size` of their file in bytes."""
    environment = Environment(
        loader=PackageLoader("xecgnet_jax.runs", "."),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    config, about = run.config, run.description
    seconds = f"{window_length(config) / config.data.rate:g} s"
    step = config.data.window_step
    crops = f"windows of {seconds}, one each {step:g} s" if step else f"consecutive windows of {seconds}"
    windows = {
        "crop": f"{crops}; of their probabilities, the {config.data.over_windows}",
        "pad": f"the last {seconds}, with zeros before shorter ones",
        "whole": "the whole recording",
    }
    split = _SPLITS[config.data.split]
    if config.data.split == "folds":
        parts = ("train", "validation", "test")
        split = ", ".join(f"{part} {_folds(getattr(config.data, f'{part}_folds'))}" for part in parts)
    best = about.progress.best_record
    pooled = [] if run.calibration is None else np.array(run.classes)[run.calibration.pooled].tolist()
    text = environment.get_template("card.md.j2").render(
        name=name,
        version=__version__,
        source=SOURCES.get(run.data.get("kind", ""), _OWN),
        classes=run.classes,
        vocabulary=run.vocabulary,
        attention=run.model.attention,
        config=config,
        window=windows[config.data.window],
        samples_per_bin=run.model.samples_per_bin,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(run.variables["params"])),
        bytes=size,
        packaged=name in PRETRAINED,
        calibration=run.calibration,
        pooled=pooled,
        least=LEAST_POSITIVES,
        data=run.data,
        split=split,
        half=None if run.calibration is None else _calibrated_half(run),
        best=best if best.get("step") == run.step else None,
        best_by=BEST_BY[config.best_by],
        best_value=value_of(best, config) if best else None,
        step=run.step,
        evaluations=list(_evaluations(run)),
        counts=LABEL_COUNT_NAMES,
        value=_value,
        number=format_value,
    )
    return text


def _folds(folds: tuple[int, ...]) -> str:
    whole = len(folds) > 2 and folds == tuple(range(folds[0], folds[-1] + 1))
    listed = f"{folds[0]}–{folds[-1]}" if whole else ", ".join(map(str, folds))
    return f"fold{'s' if len(folds) > 1 else ''} {listed}"


def _calibrated_half(run: Any) -> str:
    """Says which calibrated probabilities a raw one of 0.5 is, from the lowest of a class to the highest."""
    found = run.calibrate(np.full(len(run.classes), 0.5))
    low, high = (f"{found[at]:.2f} ({run.classes[at]})" for at in (found.argmin(), found.argmax()))
    return f"{low} to {high}"


def _auroc_over(groups: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns groups, and the classes that their macro AUROC is over; those of one grouping have the same."""
    found: dict[str, list[str]] = {}
    for name, group in groups.items():
        found.setdefault(", ".join(group["auroc_classes"]) or "no class, as none is common enough", []).append(name)
    return [(", ".join(names), over) for over, names in found.items()]


def _evaluations(run: Any) -> list[dict[str, Any]]:
    """Returns the kept metrics of these very weights, at 0.5, of parts that they were not made with."""
    found = []
    for file in sorted(run.results.glob("*/metrics.json")):
        try:
            metrics = read_sealed(file)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file}: {error}; remove it, or evaluate the run again") from None
        made_from = metrics.get("made_from", {})
        is_unseen = made_from.get("part") in ("test", "unseen") or metrics.get("trained_on") == 0
        if made_from.get("weights") == run.digest() and made_from.get("part") != "validation" and is_unseen:
            if metrics.get("format") != FORMAT:
                raise CheckpointError(f"{file}: is of another version; evaluate the run again")
            found.append({"title": file.parent.name, "metrics": metrics, "over": _auroc_over(metrics["groups"])})
    return found


def _value(row: dict[str, Any], name: str) -> str:
    """Returns 0.912 [0.880, 0.941]; by patient where some have several recordings."""
    interval = row["intervals"].get(f"{name}_by_patient", row["intervals"].get(name))
    return format_value(row[name]) + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")
