"""The twelve leads, and the sampling rate of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

#: The standard order of the twelve leads. Every [.., L] array follows it.
LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: Sampling rate of CPSC2018 and of simulated recordings, and the default of networks, in Hz.
RATE: int = 500


#: What is done with a recording that lacks leads: it is refused, or they are 0 mV where they do not follow from others.
MissingLeads = Literal["refuse", "zero"]

#: Who may read a recording that lacks leads, for messages.
MAY_LACK = "xecgnet predict --missing-leads zero takes missing leads as 0 mV"


def find_leads(names: Sequence[str], kind: str, missing_leads: MissingLeads = "refuse") -> tuple[dict[str, int], str]:
    """Returns where leads stand among `names`, in any case, and what is wrong, "" where nothing is.

    Args:
      names: of signals or columns; those that are no leads are left out.
      kind: what they name, for the text about what is wrong: "lead" or "column".
      missing_leads: whether each of `LEADS` must be there, or one of them at least.

    Returns:
      Lead → position, in the order of `LEADS`.
    """
    lower = [name.lower() for name in names]
    found = {lead: lower.index(lead.lower()) for lead in LEADS if lead.lower() in lower}
    missing = [lead for lead in LEADS if lead not in found]
    repeated = [lead for lead in found if lower.count(lead.lower()) > 1]
    is_wrong = missing and (missing_leads == "refuse" or not found)
    hint = f" ({MAY_LACK})" if found and is_wrong and not repeated else ""
    problems = [f"no {kind} {', '.join(missing)}"] if is_wrong else []
    problems += [f"more than one {kind} {', '.join(repeated)}"] if repeated else []
    return ({} if problems else found), " and ".join(problems) + hint


def complete_leads(
    leads: Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]:
    """Returns all leads of some, [T] each, then which of them were computed and which are 0 because nothing is known.

    III, aVR, aVL and aVF follow from I and II (Einthoven, Goldberger), in the units of the leads, without offsets.
    """
    all_leads, derived = dict(leads), tuple(lead for lead in LEADS[2:6] if lead not in leads)
    if derived and "I" in leads and "II" in leads:
        one, two = leads["I"], leads["II"]
        computed = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
        all_leads |= {lead: computed[lead] for lead in derived}
    else:
        derived = ()
    absent = tuple(lead for lead in LEADS if lead not in all_leads)
    if absent:
        all_leads |= dict.fromkeys(absent, np.zeros_like(next(iter(leads.values()))))
    return {lead: all_leads[lead] for lead in LEADS}, derived, absent
