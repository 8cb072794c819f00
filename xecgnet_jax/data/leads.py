"""The twelve leads, and the sampling rate of the paper."""

from __future__ import annotations

from collections.abc import Sequence

#: The standard order of the twelve leads. Every [.., L] array follows it.
LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: Sampling rate of CPSC2018 and of simulated recordings, and the default of networks, in Hz.
RATE: int = 500


def find_leads(names: Sequence[str], kind: str) -> tuple[list[int], str]:
    """Returns where each of `LEADS` stands among `names`, in any case, and what is wrong: "" if each is there once.

    `kind` is what they name, for the text about what is wrong: "lead" or "column".
    """
    lower = [name.lower() for name in names]
    missing = [lead for lead in LEADS if lead.lower() not in lower]
    repeated = [lead for lead in LEADS if lower.count(lead.lower()) > 1]
    problems = [f"no {kind} {', '.join(missing)}"] if missing else []
    problems += [f"more than one {kind} {', '.join(repeated)}"] if repeated else []
    return ([] if problems else [lower.index(lead.lower()) for lead in LEADS]), " and ".join(problems)
