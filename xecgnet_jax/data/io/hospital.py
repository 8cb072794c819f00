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

from xecgnet_jax.data.io.fields import MILLIVOLTS, parse_age, parse_sex
from xecgnet_jax.data.io.recording import Recording, RecordingWarning, derived_notes, hash_patient, is_rate
from xecgnet_jax.data.leads import LEADS, MAY_LACK, MissingLeads, complete_leads
from xecgnet_jax.errors import RecordError

#: What to install for these formats.
INSTALL = "pip install 'xecgnet-jax[formats]'"
#: Suffixes of recordings that are cut off to name them.
SUFFIXES = frozenset(".hea .mat .xml .dcm .dicom .edf .scp .aecg .csv .tsv .txt .npy .npz".split())
#: Leads from which the other four limb leads follow.
STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
#: Seconds of the longest gap that is filled in, and the share of a lead that gaps may take.
LONGEST_GAP, GAPS_ALLOWED = 0.04, 0.05
#: mV by which leads may differ where all show the calibration pulse; seconds and height (mV) of such an end, and the
#: fewest leads that must show it: others may be off, and stay where they are.
ALIKE, SHORTEST_PULSE, PULSE, SHOW_PULSE = 0.03, 0.3, (0.8, 1.2), 6
#: Leads that must be alike for a calibration pulse: of one alone nobody can tell.
FEWEST_ALIKE = 2
#: mV of the smallest and the largest step of a converter.
STEPS = (1e-9, 10.0)
_NUMBER = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,3})?", re.ASCII)


class Contents(NamedTuple):
    """What a file says, before its leads are put in order.

    Attributes:
      leads: name and [N] float64 mV of each standard lead, in the file's order; NaN where a sample is missing.
      rate: Hz, not rounded.
      patient: id, "" where there is none.
      age, sex: years; "F" or "M"; None where unknown.
      statements: diagnoses.
      notes: what was chosen or left out.
      marked: leads that the file itself says are off or bad, as "V3 (off)".
    """

    leads: list[tuple[str, np.ndarray]]
    rate: float
    patient: str = ""
    age: float | None = None
    sex: str | None = None
    statements: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()


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
        except RecordError:  # of checks of ours, which are made where the parser has its tree
            raise
        except UnsupportedFormatError:
            problem = "it is of a version, or holds a compression or encoding, that cannot be read. Export it anew"
        except MissingElementError:
            problem = "it lacks a part that every recording has. Export it anew"
        except ECGDataKitError:
            problem = "it is damaged, cut off, or holds what this format does not allow. Export it anew"
        except Exception as error:  # whatever else its parsing runs into
            problem = f"it is damaged, or lacks a part ({type(error).__name__} while it was parsed). Export it anew"
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


def number(path: Path, what: str, text: str | None, default: float | None = None) -> float:
    """Returns a number that a file writes, or `default` where it writes nothing.

    Parsers read `0` or a default where they find no number; so numbers that the signal depends on pass here first.

    Raises:
      RecordError: it is none. Its text is not in the error: it may belong to a person.
    """
    plain = (text or "").strip()
    if not plain and default is not None:
        return float(default)
    if _NUMBER.fullmatch(plain) is None or not math.isfinite(value := float(plain)):
        raise RecordError(f"{path}: {what} is no number. Export it anew.")
    return value


def is_beat(label: str) -> bool:
    """Whether the label of a recording within a file says that it is one averaged heartbeat, and no rhythm."""
    return re.search("BEAT|MEDIAN|AVERAGE|REPRESENTATIVE|TEMPLATE", label.upper()) is not None


def leads_in_mv(path: Path, leads: Sequence[Any], *, may_turn: bool = False) -> list[tuple[str, np.ndarray]]:
    """Returns name and [N] float64 mV of the standard leads among leads of ecgdatakit, whose samples become these.

    `may_turn` says that a scale below 0 is allowed: only EDF turns signals so.

    Raises:
      RecordError: a standard lead is there more than once, or states no scale or unit.
    """
    # A second V2 is V2_2 there.
    if doubled := [one.label for one in leads if "_" in one.label and one.label.rpartition("_")[0] in LEADS]:
        names = ", ".join(name.rpartition("_")[0] for name in doubled)
        raise RecordError(f"{path}: lead {names} is there more than once, so which is meant is unknown.")
    found = []
    for lead in leads:
        if lead.label not in LEADS:
            continue
        unit = MILLIVOLTS.get(lead.resolution_unit.lower())
        scales = (lead.resolution, lead.adc_resolution)  # the second is 0 where the file has none
        scaled = all(math.isfinite(one) and (one > 0 or (may_turn and one < 0)) for one in scales)
        if unit is None or not scaled or not math.isfinite(lead.offset):
            raise RecordError(f"{path}: lead {lead.label} states no scale in volts, so its millivolts are unknown.")
        step = lead.resolution * unit
        if not STEPS[0] <= abs(step) <= STEPS[1]:
            raise RecordError(f"{path}: lead {lead.label} states steps of {abs(step):g} mV, which no ECG has.")
        values = np.require(lead.samples, np.float64, "W")
        values *= step  # in place: memory that is touched for the first time costs more than the arithmetic
        if lead.offset:
            values += lead.offset * unit
        found.append((lead.label, values))
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


def assemble(path: Path, kind: str, contents: Contents, missing_leads: MissingLeads = "refuse") -> Recording:
    """Returns the recording of a file's contents: twelve leads in the standard order, gaps filled in.

    Leads that the file lacks are computed from I and II, else refused or 0 mV.

    Raises:
      RecordError: leads are missing or of different lengths; the rate is no ECG's; gaps are too long.
    """
    by_name = dict(contents.leads)
    missing = [lead for lead in STORED if lead not in by_name]
    if missing and (missing_leads == "refuse" or not by_name):
        needed = "Needed are I, II and V1 to V6, or all twelve leads"
        hint = f" {MAY_LACK}." if by_name else ""
        raise RecordError(f"{path}: lead {', '.join(missing)} is missing. {needed}.{hint}")
    lengths = {len(values) for values in by_name.values()}
    if len(lengths) > 1 or not lengths - {0}:
        raise RecordError(f"{path}: its leads have {' and '.join(map(str, sorted(lengths)))} samples. Export it anew.")
    if not is_rate(contents.rate):
        raise RecordError(f"{path}: the sampling rate is {contents.rate:g}; an ECG has 50 to 100,000 Hz.")
    by_name, derived, absent = complete_leads(by_name)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as no voltage
        rows = np.stack(list(by_name.values()), dtype=np.float32, casting="same_kind")
    signal, notes = fill_gaps(path, rows.T, contents.rate)
    said = f"the file itself marks {', '.join(contents.marked)}: check the electrodes"
    return Recording(
        id=recording_name(path),
        signal=signal,
        rate=contents.rate,
        age=contents.age,
        sex=contents.sex,
        format=kind,
        patient=hash_patient(contents.patient),
        derived=derived,
        absent=absent,
        warnings=(RecordingWarning("marked", said),) if contents.marked else (),
        notes=contents.notes + derived_notes(derived) + notes,
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
    if np.isfinite(signal.sum()):
        return signal, ()
    missing = np.isnan(signal)
    if not missing.any():
        return signal, ()
    filled, longest, share = signal.copy(), 0, 100 * float(np.max(missing.mean(axis=0)))
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
    gaps_text = f"up to {1000 * longest / rate:.0f} ms, and up to {share:.1f} % of a lead"
    return filled, (f"missing samples are filled in, {gaps_text}",)


def cut_calibration(contents: Contents) -> Contents:
    """Returns contents without the calibration pulse at their end: 1 mV in all leads alike, where there is one."""
    if len({len(values) for _, values in contents.leads}) != 1 or len(contents.leads) < FEWEST_ALIKE:
        return contents
    signal = np.stack([values for _, values in contents.leads])
    shortest = math.ceil(SHORTEST_PULSE * contents.rate)
    moving = signal[np.ptp(signal[:, -shortest:], axis=1) > ALIKE]  # without leads that are off
    signal = moving if len(moving) >= SHOW_PULSE else signal
    differ = np.flatnonzero(~(signal.max(axis=0) - signal.min(axis=0) <= ALIKE))
    kept = differ[-1] + 1 if len(differ) else 0
    end = signal[:, kept:]
    if end.shape[1] < shortest or not PULSE[0] <= np.ptp(end) <= PULSE[1]:
        return contents
    note = f"its last {end.shape[1] / contents.rate:.2f} s are a calibration pulse, and cut off"
    leads = [(name, values[:kept]) for name, values in contents.leads]
    return contents._replace(leads=leads, notes=(*contents.notes, note))
