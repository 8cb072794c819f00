"""The audit of a pack: what a user should know about a corpus before training on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xecgnet_jax.data.labels import CPSC2018, Vocabulary, count_codes
from xecgnet_jax.data.quality.problems import SignalProblems
from xecgnet_jax.errors import first_few


@dataclass(frozen=True)
class Audit:
    """Which recordings were refused, and what is odd about the others. Only refused ones are left out of a pack."""

    packed: int  #: number of recordings in the pack
    refused: Mapping[str, str] = field(default_factory=dict)  #: id → cause, of recordings that could not be read
    #: Id → leads that never change; `clipped` and `absurd` likewise, see `SignalProblems`.
    flat: Mapping[str, Sequence[str]] = field(default_factory=dict)
    clipped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    absurd: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limb_leads: Mapping[str, str] = field(default_factory=dict)  #: id → how they contradict each other
    marked: Mapping[str, str] = field(default_factory=dict)  #: id → what the file itself says against its leads
    duplicates: Sequence[Sequence[str]] = ()  #: groups of ids of one ECG, see `find_duplicates`
    without_class: Sequence[str] = ()  #: ids of recordings with none of the classes
    classes: Mapping[str, int] = field(default_factory=dict)  #: class → number of packed recordings that have it
    #: Code → number of packed recordings that have it, of codes that stand for none of the classes.
    unmapped: Mapping[str, int] = field(default_factory=dict)


def make_audit(
    problems: Mapping[str, SignalProblems],
    refused: Mapping[str, str],
    codes: Sequence[Collection[str]],
    duplicates: Sequence[Sequence[int]],
) -> Audit:
    """Returns the audit of a corpus: problems of packed recordings and causes of refused ones by id, and codes.

    `codes` has the diagnostic codes of each packed recording, in the order of `problems`; `duplicates` are groups of
    numbers in that order.
    """
    ids = tuple(problems)
    odd: dict[str, Any] = {
        kind: {name: list(getattr(found, kind)) for name, found in problems.items() if getattr(found, kind)}
        for kind in ("flat", "clipped", "absurd")
    }
    for kind in ("limb_leads", "marked"):
        odd[kind] = {name: getattr(found, kind) for name, found in problems.items() if getattr(found, kind)}
    same = [[ids[row] for row in group] for group in duplicates]
    audit = Audit(packed=len(ids), refused=dict(refused), **odd, duplicates=same)
    return count_classes(audit, ids, codes, CPSC2018)


def count_classes(audit: Audit, ids: Sequence[str], codes: Sequence[Collection[str]], vocabulary: Vocabulary) -> Audit:
    """Returns the audit with what the codes of its recordings mean in a vocabulary."""
    classes, unmapped = count_codes(codes, vocabulary)
    without = [name for name, own in zip(ids, codes, strict=True) if not vocabulary.classes_of(own)]
    return replace(audit, without_class=without, classes=classes, unmapped=unmapped)


def rename(audit: Audit, names: Mapping[str, str]) -> Audit:
    """Returns the audit with other names of packed recordings; of refused ones only the number stays."""
    by_id: dict[str, Any] = {
        kind: {names[name]: found for name, found in getattr(audit, kind).items()}
        for kind in ("flat", "clipped", "absurd", "limb_leads", "marked")
    }
    return replace(
        audit,
        refused={f"refused {number}": "not told" for number in range(1, len(audit.refused) + 1)},
        **by_id,
        duplicates=[[names[name] for name in group] for group in audit.duplicates],
        without_class=[names[name] for name in audit.without_class],
    )


def format_losses(audit: Audit) -> str:
    """Returns a line on what a pack lacks: refused recordings, and codes that stand for no class; "" if nothing."""
    parts = [f"{len(audit.refused)} recordings are left out"] if audit.refused else []
    if audit.unmapped:
        codes = [f"{code} ({count}×)" for code, count in audit.unmapped.items()]
        parts.append(
            f"{len(audit.without_class)} have no class; codes of no class ({len(codes)}): {first_few(codes, 3)}"
        )
    return "; ".join(parts)


def format_audit(audit: Audit) -> str:
    """Returns a few lines for the terminal: the number of recordings, and the first examples of each problem."""
    examples = {"refused": [f"{name} ({cause})" for name, cause in audit.refused.items()]}
    for problem, by_id in (("flat leads", audit.flat), ("clipped", audit.clipped), ("absurd amplitude", audit.absurd)):
        examples[problem] = [f"{name} ({' '.join(leads)})" for name, leads in by_id.items()]
    examples["limb leads contradict each other"] = list(audit.limb_leads)
    examples["leads marked as bad by the file"] = list(audit.marked)
    examples["one ECG"] = [" = ".join(names) for names in audit.duplicates]
    examples["without a class"] = list(audit.without_class)
    examples["codes of no class"] = [f"{code} ({count}×)" for code, count in audit.unmapped.items()]
    lines = [
        f"{audit.packed} recordings packed, {len(audit.refused)} refused",
        f"  classes: {', '.join(f'{name} {count}' for name, count in audit.classes.items())}",
        *(f"  {problem} ({len(found)}): {first_few(found, 3)}" for problem, found in examples.items() if found),
    ]
    return "\n".join(lines)
