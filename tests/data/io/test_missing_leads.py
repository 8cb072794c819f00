"""Recordings that lack leads: refused with a hint, or completed where that is asked for; all formats alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import commands as cli
from tests.data.io.hospital_files import STEP, WRITERS
from tests.data.io.wfdb_files import write_record
from xecgnet_jax import read_recording
from xecgnet_jax.data.leads import LEADS, complete_leads
from xecgnet_jax.data.quality.lead_order import RELATIONS
from xecgnet_jax.data.simulation.corpus import simulate_recording
from xecgnet_jax.errors import RecordError

#: Leads that a file may have → those that are computed from them, and those of which nothing is known.
CASES = {
    ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"): (("III", "aVR", "aVL", "aVF"), ()),
    LEADS[:6]: ((), LEADS[6:]),
    ("I", "II"): (("III", "aVR", "aVL", "aVF"), LEADS[6:]),
    ("I", "II", "aVF", "V5"): (("III", "aVR", "aVL"), ("V1", "V2", "V3", "V4", "V6")),
    ("II", "V5"): ((), tuple(lead for lead in LEADS if lead not in ("II", "V5"))),
    ("I",): ((), LEADS[1:]),
}


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """[5000, 12] mV in steps that all writers store exactly."""
    return (np.rint(simulate_recording(5, 3).signal.astype(np.float64) / STEP) * STEP).astype(np.float32)


def write_wfdb(path: Path, signal: np.ndarray, leads) -> Path:
    values = np.rint(signal[:, [LEADS.index(lead) for lead in leads]].astype(np.float64) * 200).astype(np.int64) + 3
    return write_record(path.parent, values, [16], names=leads)


def write_csv(path: Path, signal: np.ndarray, leads) -> Path:
    columns = signal[:, [LEADS.index(lead) for lead in leads]]
    np.savetxt(path, columns, delimiter=",", header=",".join(leads), comments="", fmt="%.6f")
    return path


def write_npy(path: Path, signal: np.ndarray, leads) -> Path:
    np.save(path, signal[:, [LEADS.index(lead) for lead in leads]])
    return path


def written(kind: str, folder: Path, signal: np.ndarray, leads) -> tuple[Path, dict]:
    """A file of some leads, and what must be said of it."""
    if kind == "WFDB":
        return write_wfdb(folder / "r.hea", signal, leads), {}
    if kind == "CSV":
        return write_csv(folder / "r.csv", signal, leads), {"rate": 500.0, "units": "mV"}
    if kind == "NumPy":
        return write_npy(folder / "r.npy", signal, leads), {"rate": 500.0, "units": "mV", "leads": leads}
    return WRITERS[kind](folder / "r", signal, 500, leads), {}


@pytest.mark.parametrize("kind", ["WFDB", "CSV", "NumPy", "EDF", "GE MUSE XML", "SCP-ECG", "HL7 aECG"])
@pytest.mark.parametrize("leads", CASES, ids=len)
def test_what_is_there_is_read_what_follows_is_computed_and_the_rest_is_zero(kind, leads, signal, tmp_path):
    derived, absent = CASES[leads]
    path, about = written(kind, tmp_path, signal, leads)
    found = read_recording(path, **about, missing_leads="zero")
    assert (found.derived, found.absent, found.resolution) == (derived, absent, None)
    for column, lead in enumerate(LEADS):
        if lead in leads:
            np.testing.assert_allclose(found.signal[:, column], signal[:, column], atol=1e-6)
        elif lead in absent:
            assert not found.signal[:, column].any()
    if "I" in leads and "II" in leads:
        limbs = found.signal[:, :6].astype(np.float64)
        np.testing.assert_allclose(limbs @ RELATIONS.T, 0, atol=0.03)  # the file's own leads are rounded
    kinds = [warning.kind for warning in found.warnings]
    assert kinds.count("missing-leads") == bool(absent) and not {"flat", "units", "identical"} & set(kinds)
    assert found.notes == ((f"computed from I and II: {', '.join(derived)}",) if derived else ())


@pytest.mark.parametrize("kind", ["WFDB", "CSV", "NumPy", "EDF", "GE MUSE XML", "DICOM waveform"])
def test_by_default_they_are_refused_and_who_reads_them_is_told(kind, signal, tmp_path):
    path, about = written(kind, tmp_path, signal, ("I", "II"))
    hint = "no group of 12 or 8 leads" if kind == "DICOM waveform" else "--missing-leads zero takes missing leads"
    with pytest.raises(RecordError, match=hint):
        read_recording(path, **about)


@pytest.mark.parametrize("kind", ["WFDB", "CSV", "NumPy", "EDF", "DICOM waveform"])
def test_without_any_lead_it_is_no_ecg(kind, signal, tmp_path):
    if kind in ("WFDB", "CSV", "NumPy"):
        path, about = written(kind, tmp_path, signal, ("II",))
        if kind == "NumPy":
            about["leads"] = ("pleth",)
        else:
            file = path if kind == "CSV" else path.with_suffix(".hea")
            file.write_text(file.read_text().replace("II", "pleth"))
    else:
        path, about = written(kind, tmp_path, signal, ("I", "II"))
        path.write_bytes(path.read_bytes().replace(b"ECG II", b"pleth ").replace(b"ECG I ", b"spO2  "))
    with pytest.raises(RecordError) as refused:
        read_recording(path, **about, missing_leads="zero")
    assert "takes missing leads as" not in str(refused.value)


def test_leads_that_are_there_and_flat_are_still_told(signal, tmp_path):
    lost = signal.copy()
    lost[:, LEADS.index("V5")] = 0
    path, about = written("CSV", tmp_path, lost, ("I", "II", "V5"))
    said = {one.kind: one.text for one in read_recording(path, **about, missing_leads="zero").warnings}
    assert said["missing-leads"] == "without V1, V2, V3, V4, V6, taken as 0 mV: most networks were not trained for that"
    assert said["flat"] == "nothing in V5: a lost electrode?"


def test_the_file_own_lead_is_kept_where_it_could_be_computed():
    leads = {"I": np.array([1.0]), "II": np.array([3.0]), "III": np.array([9.0])}
    completed, derived, absent = complete_leads(leads)
    assert {lead: completed[lead].tolist() for lead in LEADS[:6]} == {
        "I": [1.0], "II": [3.0], "III": [9.0], "aVR": [-2.0], "aVL": [-0.5], "aVF": [2.5],
    }  # fmt: skip
    assert (derived, absent, list(completed)) == (("aVR", "aVL", "aVF"), LEADS[6:], list(LEADS))


def test_inspect_reads_them_where_it_is_asked(signal, tmp_path, capsys):
    path = write_csv(tmp_path / "watch.csv", signal, ("I",))
    words = [str(path), "--rate", "500", "--units", "mV"]
    assert cli.inspect(words) == 2
    assert "has no column II, III" in capsys.readouterr().err
    assert cli.inspect([*words, "--missing-leads", "zero"]) == 0
    said = capsys.readouterr().out
    assert "none; the file lacks II, III" in said and "WARNING: without II, III" in said
    assert said.splitlines()[-1].endswith("--missing-leads zero")
