"""What the formats of hospitals share: a parser of ecgdatakit → leads in millivolts → `Recording`.

ecgdatakit reads more than can be vouched for, so what it gives is checked here; and its messages hold names, dates and
whole paths, so none of them is shown.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xecgnet_jax.data.io.recording import Recording, hash_patient
from xecgnet_jax.data.io.wfdb_header import MILLIVOLTS, parse_age, parse_sex
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

#: What to install for these formats.
INSTALL = "pip install 'xecgnet-jax[formats]'"
#: Suffixes of recordings that are cut off to name them.
SUFFIXES = frozenset({".hea", ".xml", ".dcm", ".dicom", ".edf", ".scp", ".aecg"})
#: Leads from which the other four limb leads follow.
STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
#: Seconds of the longest gap that is filled in, and the share of a lead that gaps may take.
LONGEST_GAP, GAPS_ALLOWED = 0.04, 0.05
#: mV by which leads may differ where all show the calibration pulse; seconds and height (mV) of such an end.
ALIKE, SHORTEST_PULSE, PULSE = 0.03, 0.3, (0.8, 1.2)


class Contents(NamedTuple):
    """What a file says, before its leads are put in order.

    Attributes:
      leads: name and [N] float64 mV of each, in the file's order; NaN where a sample is missing.
      rate: Hz, not rounded.
      patient: id, "" where there is none.
      age, sex: years; "F" or "M"; None where unknown.
      statements: diagnoses.
      notes: what was chosen or left out.
    """

    leads: list[tuple[str, np.ndarray]]
    rate: float
    patient: str = ""
    age: float | None = None
    sex: str | None = None
    statements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse(path: Path, kind: str, read: Callable[[], Any]) -> tuple[Any, list[warnings.WarningMessage]]:
    """Returns what a parser of ecgdatakit gives, and its warnings.

    Args:
      path, kind: of the file; the format's name, for errors.
      read: calls the parser.

    Raises:
      RecordError: the parser cannot read the file. Its message is not in the error.
    """
    from ecgdatakit import ECGDataKitError, MissingElementError, UnsupportedFormatError

    with _quiet_pydicom(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            return read(), said
        except UnsupportedFormatError:
            problem = "it is of a version, or holds a compression or encoding, that cannot be read. Export it anew"
        except MissingElementError:
            problem = "it lacks a part that every recording has. Export it anew"
        except ECGDataKitError:
            problem = "it is damaged, cut off, or holds what this format does not allow. Export it anew"
        except Exception as error:  # whatever else its parsing runs into
            problem = f"it is damaged ({type(error).__name__} while it was parsed). Export it anew"
    raise RecordError(f"{path}: no {kind} recording can be read from it: {problem}.")


@contextmanager
def _quiet_pydicom() -> Iterator[None]:
    """Keeps the log of pydicom, which quotes values of the file, from the terminal."""
    log = logging.getLogger("pydicom")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def leads_in_mv(path: Path, leads: Sequence[Any], *, may_turn: bool = False) -> list[tuple[str, np.ndarray]]:
    """Returns name and [N] float64 mV of leads of ecgdatakit.

    `may_turn` says that a scale below 0 is allowed: only EDF turns signals so.

    Raises:
      RecordError: a standard lead states no scale or unit.
    """
    found = []
    for lead in leads:
        unit = MILLIVOLTS.get(lead.resolution_unit.lower())
        scales = (lead.resolution, lead.adc_resolution)  # the second is 0 where the file has none
        scaled = unit is not None and all(math.isfinite(one) and (one > 0 or (may_turn and one < 0)) for one in scales)
        if lead.label in LEADS and not (scaled and math.isfinite(lead.offset)):
            raise RecordError(f"{path}: lead {lead.label} states no scale in volts, so its millivolts are unknown.")
        values = np.asarray(lead.samples, np.float64) * lead.resolution + lead.offset
        found.append((lead.label, values * (unit or math.nan)))
    return found


def person(record: Any) -> dict[str, Any]:
    """Returns patient, age and sex of a record of ecgdatakit, for `Contents`."""
    found = record.patient
    return {
        "patient": found.patient_id or "",
        "age": parse_age(str(found.age)),
        "sex": parse_sex(found.sex or ""),
    }


def statements(record: Any) -> tuple[str, ...]:
    """Returns the diagnoses of a record of ecgdatakit."""
    joined = (" ".join(part for part in one if part) for one in record.interpretation.statements)
    return tuple(text for text in joined if text.strip())


def assemble(path: Path, kind: str, contents: Contents) -> Recording:
    """Returns the recording of a file's contents: twelve leads in the standard order, gaps filled in.

    Raises:
      RecordError: leads are missing, doubled or of different lengths; the rate is no ECG's; gaps are too long.
    """
    names = [re.sub(r"_\d+$", "", name) for name, _ in contents.leads]
    if doubled := [lead for lead in LEADS if names.count(lead) > 1]:
        raise RecordError(f"{path}: lead {', '.join(doubled)} is there more than once, so which is meant is unknown.")
    by_name = {name: values for name, values in contents.leads if name in LEADS}
    if missing := [lead for lead in STORED if lead not in by_name]:
        raise RecordError(
            f"{path}: lead {', '.join(missing)} is missing. Needed are I, II and V1 to V6, or all twelve leads."
        )
    lengths = {len(values) for values in by_name.values()}
    if len(lengths) > 1 or not lengths - {0}:
        raise RecordError(f"{path}: its leads have {' and '.join(map(str, sorted(lengths)))} samples. Export it anew.")
    if not 50 <= contents.rate <= 100_000:
        raise RecordError(f"{path}: the sampling rate is {contents.rate:g}; an ECG has 50 to 100,000 Hz.")
    one, two = by_name["I"], by_name["II"]
    derivable = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    derived = tuple(lead for lead in LEADS if lead not in by_name)
    signal = np.stack([(derivable | by_name)[lead] for lead in LEADS], axis=1)
    signal, notes = fill_gaps(path, signal, contents.rate)
    if derived:
        notes = (f"computed from I and II: {', '.join(derived)}", *notes)
    return Recording(
        id=recording_name(path),
        signal=np.ascontiguousarray(signal, np.float32),
        rate=contents.rate,
        age=contents.age,
        sex=contents.sex,
        format=kind,
        patient=hash_patient(contents.patient),
        derived=derived,
        notes=contents.notes + notes,
        statements=contents.statements,
    )


def recording_name(path: Path) -> str:
    """Returns a file's name without a known suffix; anything else behind a dot belongs to it, as in 1.2.840.80.1."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def fill_gaps(path: Path, signal: np.ndarray, rate: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns a signal [T, L] whose missing samples (NaN) are on straight lines, at the ends held, and what was done.

    Raises:
      RecordError: a gap is of 40 ms or more, or gaps take 5 % of a lead or more.
    """
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal, ()
    filled, longest = signal.copy(), 0
    time = np.arange(len(signal))
    for column, (lead, gaps) in enumerate(zip(LEADS, missing.T, strict=True)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], gaps, [0]])))
        of_lead = int(np.max(edges[1::2] - edges[::2], initial=0))
        if of_lead >= LONGEST_GAP * rate or gaps.mean() >= GAPS_ALLOWED:
            raise RecordError(
                f"{path}: lead {lead} lacks {gaps.sum()} of {len(gaps)} samples, up to {1000 * of_lead / rate:.0f} ms "
                "in one place. Cut them off; made-up values would pass for a measurement."
            )
        longest = max(longest, of_lead)
        if of_lead:
            filled[gaps, column] = np.interp(time[gaps], time[~gaps], signal[~gaps, column])
    share = 100 * missing.any(axis=1).mean()
    return filled, (f"missing samples are filled in, up to {1000 * longest / rate:.0f} ms ({share:.1f} % of the time)",)


def cut_calibration(contents: Contents) -> Contents:
    """Returns contents without the calibration pulse at their end: 1 mV in all leads alike, where there is one."""
    if len({len(values) for _, values in contents.leads}) != 1 or len(contents.leads) < len(STORED):
        return contents
    signal = np.stack([values for _, values in contents.leads], axis=1)
    differ = np.flatnonzero(~(np.ptp(signal, axis=1) <= ALIKE))
    kept = differ[-1] + 1 if len(differ) else 0
    end = signal[kept:]
    if len(end) < SHORTEST_PULSE * contents.rate or not PULSE[0] <= np.ptp(end) <= PULSE[1]:
        return contents
    note = f"its last {len(end) / contents.rate:.2f} s are a calibration pulse, and cut off"
    leads = [(name, values[:kept]) for name, values in contents.leads]
    return contents._replace(leads=leads, notes=(*contents.notes, note))
