"""What a corpus has that a user should know before training on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xecgnet_jax.data.leads import LEADS

#: Samples that a lead must stay at its extreme value to count as clipped: 20 ms at 500 Hz.
CLIPPED_RUN: int = 10

#: mV that this extreme must reach. Below it, equal values in a row are a quiet baseline.
CLIPPED_LEVEL: float = 2.0

#: mV beyond which an amplitude is no ECG: a wrong gain, or a loose electrode.
ABSURD_LEVEL: float = 20.0

#: mV of standard deviation below which a lead is no ECG: a wrong gain.
ABSURD_DEVIATION: float = 1e-3

#: How many examples `format_audit` gives of each finding.
EXAMPLES_SHOWN: int = 3


@dataclass(frozen=True)
class Findings:
    """What one recording's signal shows.

    Attributes:
      digest: sha256 of the signal in whole µV; equal for equal signals.
      flat: leads that never change.
      clipped: leads that stay at their extreme value, see `CLIPPED_RUN` and `CLIPPED_LEVEL`.
      absurd: leads with an amplitude that no ECG has, see `ABSURD_LEVEL` and `ABSURD_DEVIATION`.
    """

    digest: str
    flat: tuple[str, ...]
    clipped: tuple[str, ...]
    absurd: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """What was refused, and what is odd about the rest. Nothing but `refused` is left out of a pack.

    Attributes:
      packed: how many recordings the pack has.
      refused: id → cause, of recordings that could not be read.
      flat: id → leads that never change; likewise `clipped` and `absurd`, see `Findings`.
      duplicates: groups of ids with the same signal.
      without_class: ids of recordings with none of the nine classes.
      classes: class → how many packed recordings have it.
      unmapped: code → how many packed recordings have it, of codes that stand for none of the classes.
    """

    packed: int
    refused: Mapping[str, str] = field(default_factory=dict)
    flat: Mapping[str, Sequence[str]] = field(default_factory=dict)
    clipped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    absurd: Mapping[str, Sequence[str]] = field(default_factory=dict)
    duplicates: Sequence[Sequence[str]] = ()
    without_class: Sequence[str] = ()
    classes: Mapping[str, int] = field(default_factory=dict)
    unmapped: Mapping[str, int] = field(default_factory=dict)


def findings_of(signal: np.ndarray) -> Findings:
    """Looks through one recording.

    Args:
      signal: [T, 12] float32, mV, at 500 Hz.
    """
    leads = np.ascontiguousarray(signal.T)
    low, high = leads.min(axis=1), leads.max(axis=1)
    flat = low == high
    clipped = np.array([_is_clipped(lead) for lead in leads]) & ~flat
    quiet = (leads.std(axis=1, dtype=np.float64) < ABSURD_DEVIATION) & ~flat
    absurd = (np.maximum(-low, high) > ABSURD_LEVEL) | quiet
    microvolts = np.rint(signal.astype(np.float64) * 1e3).astype(np.int64)
    digest = hashlib.sha256(microvolts.tobytes()).hexdigest()
    return Findings(digest, flat=_leads(flat), clipped=_leads(clipped), absurd=_leads(absurd))


def audit_of(
    findings: Mapping[str, Findings],
    refused: Mapping[str, str],
    labels: np.ndarray,
    classes: Mapping[str, int],
    unmapped: Mapping[str, int],
) -> Audit:
    """Gathers the findings of a corpus.

    Args:
      findings: by id, of the R recordings that were packed.
      refused: causes by id, of those that were not.
      labels: [R, C] 0 or 1, in the order of `findings`.
      classes: how many recordings have each class.
      unmapped: how many have each code that stands for no class.
    """
    same: dict[str, list[str]] = {}
    for name, found in findings.items():
        same.setdefault(found.digest, []).append(name)
    return Audit(
        packed=len(findings),
        refused=dict(refused),
        flat={name: list(found.flat) for name, found in findings.items() if found.flat},
        clipped={name: list(found.clipped) for name, found in findings.items() if found.clipped},
        absurd={name: list(found.absurd) for name, found in findings.items() if found.absurd},
        duplicates=[names for names in same.values() if len(names) > 1],
        without_class=[name for name, row in zip(findings, labels, strict=True) if not row.any()],
        classes=dict(classes),
        unmapped=dict(unmapped),
    )


def format_audit(audit: Audit) -> str:
    """A few lines for the terminal: how many recordings, and the first examples of each finding."""
    by_lead = {"flat leads": audit.flat, "clipped": audit.clipped, "absurd amplitude": audit.absurd}
    examples = {
        "refused": [f"{name} ({cause})" for name, cause in audit.refused.items()],
        **{
            finding: [f"{name} ({' '.join(leads)})" for name, leads in found.items()]
            for finding, found in by_lead.items()
        },
        "same signal": [" = ".join(names) for names in audit.duplicates],
        "without a class": list(audit.without_class),
        "unmapped codes": [f"{code} ({count}×)" for code, count in audit.unmapped.items()],
    }
    lines = [
        f"{audit.packed} recordings packed, {len(audit.refused)} refused",
        f"  classes: {', '.join(f'{name} {count}' for name, count in audit.classes.items())}",
    ]
    for finding, found in examples.items():
        if found:
            more = ", …" if len(found) > EXAMPLES_SHOWN else ""
            lines.append(f"  {finding} ({len(found)}): {', '.join(found[:EXAMPLES_SHOWN])}{more}")
    return "\n".join(lines)


def _is_clipped(lead: np.ndarray) -> bool:
    extremes = [value for value in (lead.min(), lead.max()) if abs(value) >= CLIPPED_LEVEL]
    return any(_longest_run(lead == value) >= CLIPPED_RUN for value in extremes)


def _longest_run(true: np.ndarray) -> int:
    """How many True in a row there are at most."""
    edges = np.flatnonzero(np.diff(true.astype(np.int8), prepend=0, append=0))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _leads(chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(lead for lead, is_chosen in zip(LEADS, chosen, strict=True) if is_chosen)
